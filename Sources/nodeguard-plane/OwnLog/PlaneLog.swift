import FoundationEssentials

/// The plane's own audit log: canonical events, numbered without a gap, in an RFC 6962 tree whose root the plane signs.
/// An event is recorded in the transaction of what it tells of, by whichever process that is, so that neither is there
/// without the other; nothing is ever removed.
struct PlaneLog: Sendable {
    let key: WitnessKey

    /// The tree that the log goes on from.
    func tree(_ database: Database) throws -> MerkleRange {
        let row = try Row.fetchOne(database, sql: "SELECT size, peaks FROM plane_log WHERE size > 0")
        guard let row, let size: Int64 = row["size"], let peaks: Data = row["peaks"],
            let tree = MerkleRange(size: UInt64(clamping: size), peakBytes: Array(peaks))
        else {
            throw PlaneProblem(
                "the head of the plane's own audit log is missing or damaged",
                remedy: "restore plane.sqlite from your copy; `nodeguard-plane audit verify` says what is wrong")
        }
        return tree
    }

    func record(_ event: PlaneEvent, now: Int64, _ database: Database) throws {
        var tree = try tree(database)
        try append(event, at: now, to: &tree, database)
        try store(tree, database)
    }

    /// Once, when the state is made or comes from a plane that only had a journal: what that held is taken over, with
    /// the times that it had.
    func beginIfNew(now: Int64, _ database: Database) throws {
        guard try Int64.fetchOne(database, sql: "SELECT size FROM plane_log") == 0 else { return }
        var tree = MerkleRange()
        let first = PlaneEvent(name: "plane.begin", actor: .caller, detail: "the log \(key.name)")
        try append(first, at: now, to: &tree, database)
        for row in try Row.fetchAll(database, sql: "SELECT * FROM journal ORDER BY id") {
            let event = PlaneEvent(
                name: row["action"], actor: .plane, outcome: PlaneEvent.Outcome(rawValue: row["outcome"]) ?? .granted,
                cluster: row["cluster"], node: row["node"], reason: row["reason"], detail: row["detail"])
            try append(event, at: row["at"], to: &tree, database)
        }
        try database.execute(sql: "DELETE FROM journal")
        try store(tree, database)
    }

    /// The last events, oldest first.
    static func last(_ count: Int, _ database: Database) throws -> [Data] {
        try Data.fetchAll(
            database, sql: "SELECT event FROM plane_events ORDER BY seq DESC LIMIT ?", arguments: [count]
        ).reversed()
    }

    private func append(_ event: PlaneEvent, at time: Int64, to tree: inout MerkleRange, _ database: Database) throws {
        let seq = tree.size + 1
        let text = Array(event.canonicalText(seq: seq, plane: key.id, at: time).utf8)
        try database.execute(
            sql: "INSERT INTO plane_events (seq, event, mark) VALUES (?, ?, ?)",
            arguments: [Int64(seq), Data(text), Data(key.mark(text))])
        tree.append(MerkleRange.leaf(text))
    }

    /// Only the newest checkpoint is kept: with an older one the log could be cut there.
    private func store(_ tree: MerkleRange, _ database: Database) throws {
        let checkpoint = Checkpoint(origin: key.name, size: tree.size, root: tree.root)
        try database.execute(
            sql: "UPDATE plane_log SET size = ?, peaks = ?, checkpoint = ?",
            arguments: [
                Int64(tree.size), Data(tree.peakBytes), try key.sign(checkpoint.text),
            ])
    }
}
