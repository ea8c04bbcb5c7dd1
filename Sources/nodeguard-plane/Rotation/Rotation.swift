import FoundationEssentials

/// One change of the root as it is stored: where it stands, between which roots, and what they say of each other.
struct Rotation: Sendable {
    let id: Int64
    var machine: RotationStateMachine
    let oldRoot: Int64
    let newRoot: Int64
    /// Cross certificates (RFC 4210 §4.4): the new root's key certified by the old root, and the reverse.
    let newWithOld: [UInt8]
    let oldWithNew: [UInt8]
    /// Why the issuing has ended by itself.
    var halt: String?
    let startedAt: Int64

    static func newest(_ database: Database) throws -> Rotation? {
        let row = try Row.fetchOne(database, sql: "SELECT * FROM rotations ORDER BY id DESC LIMIT 1")
        return try row.map { row in
            guard let phase = RotationStateMachine.Phase(rawValue: row["phase"]),
                let pace = RotationStateMachine.Pace(rawValue: row["pace"])
            else {
                throw PlaneProblem(
                    "the state of the rotation is damaged", remedy: "restore plane.sqlite from your copy")
            }
            let terms = RotationStateMachine.Terms(
                alertLimit: row["alert_limit"], watch: row["watch"], spread: row["spread"])
            let newWithOld: Data = row["new_with_old"]
            let oldWithNew: Data = row["old_with_new"]
            return Rotation(
                id: row["id"],
                machine: RotationStateMachine(
                    phase, pace: pace, canary: row["canary"], canarySince: row["canary_since"], terms: terms,
                    changedAt: row["changed_at"]),
                oldRoot: row["old_root"], newRoot: row["new_root"], newWithOld: Array(newWithOld),
                oldWithNew: Array(oldWithNew), halt: row["halt"], startedAt: row["started_at"])
        }
    }

    /// A machine that has not started is no rotation.
    func store(_ database: Database) throws {
        guard let phase = machine.phase else { return }
        try database.execute(
            sql: """
                INSERT INTO rotations (
                    id, phase, pace, canary, canary_since, alert_limit, watch, spread, changed_at, old_root, new_root,
                    new_with_old, old_with_new, halt, started_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET phase = excluded.phase, pace = excluded.pace, canary = excluded.canary,
                    canary_since = excluded.canary_since, alert_limit = excluded.alert_limit, watch = excluded.watch,
                    spread = excluded.spread, changed_at = excluded.changed_at, halt = excluded.halt
                """,
            arguments: [
                id, phase.rawValue, machine.pace.rawValue, machine.canary, machine.canarySince,
                machine.terms.alertLimit, machine.terms.watch, machine.terms.spread, machine.changedAt, oldRoot,
                newRoot, Data(newWithOld), Data(oldWithNew), halt, startedAt,
            ])
    }

    // MARK: the alerts that count already

    func alertsBefore(_ database: Database) throws -> [String: Int64] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT node, alerts_before FROM rotation_nodes WHERE rotation = ?", arguments: [id])
        return Dictionary(rows.map { ($0["node"], $0["alerts_before"]) }) { $1 }
    }

    func setAlertsBefore(_ alerts: Int64, of node: String, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO rotation_nodes (rotation, node, alerts_before) VALUES (?, ?, ?)
                ON CONFLICT (rotation, node) DO UPDATE SET alerts_before = excluded.alerts_before
                """,
            arguments: [id, node, alerts])
    }
}
