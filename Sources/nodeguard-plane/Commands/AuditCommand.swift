import ArgumentParser
import Crypto
import FoundationEssentials
import GRDB

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Read and verify the audit logs that nodes sent.",
        subcommands: [AuditList.self, AuditTail.self, AuditExport.self, AuditKeys.self, AuditVerify.self])
}

/// Which logs a verb is about.
struct AuditSelection: ParsableArguments {
    @Option(help: "Only of this node.") var node: String?
    @Option(help: "Only of this cluster.") var cluster: String?

    func logs(_ database: Database) throws -> [AuditReceiver.Log] {
        try AuditReceiver.Log.all(node: node, cluster: cluster, database)
    }
}

struct AuditList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the logs.")

    @OptionGroup var selection: AuditSelection
    @Flag(help: "As JSON.") var json = false
    @OptionGroup var state: StateOption

    struct Line: Encodable {
        let cluster: String
        let node: String
        let epoch: UInt64
        let events: UInt64
        let root: String
        let key: String
        let received: String?
    }

    func run() throws {
        let lines = try state.open().database.read { database in
            try selection.logs(database).map { log in
                let received = try Int64.fetchOne(
                    database, sql: "SELECT max(received_at) FROM audit_batches WHERE log = ?", arguments: [log.id])
                return Line(
                    cluster: log.place.cluster, node: log.place.node, epoch: log.place.epoch, events: log.range.size,
                    root: Data(log.range.root).base64EncodedString(), key: log.publicKey.base64EncodedString(),
                    received: received.map(UnixTime.text))
            }
        }
        if json { return try JSONOutput.print(lines) }
        var table = TextTable(["CLUSTER", "NODE", "EPOCH", "EVENTS", "LAST RECEIVED"])
        for line in lines {
            table.add([line.cluster, line.node, String(line.epoch), String(line.events), line.received ?? "-"])
        }
        print(table)
    }
}

struct AuditTail: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tail", abstract: "Print the last events.")

    @OptionGroup var selection: AuditSelection
    @Option(name: .short, help: "How many.") var n = 10
    @Flag(help: "The canonical JSON, one event a line.") var json = false
    @OptionGroup var state: StateOption

    private struct Received {
        let at: Int64
        let epoch: UInt64
        let seq: Int64
        let event: Data
    }

    func run() throws {
        let count = max(1, min(n, 100_000))
        let received = try state.open().database.read { database in
            try selection.logs(database).flatMap { try Self.last(count, of: $0, database) }
        }
        let newest = received.sorted { ($0.at, $0.epoch, $0.seq) < ($1.at, $1.epoch, $1.seq) }.suffix(count)
        for entry in newest {
            print(json ? String(decoding: entry.event, as: UTF8.self) : Self.line(entry.event))
        }
    }

    private static func last(_ count: Int, of log: AuditReceiver.Log, _ database: Database) throws -> [Received] {
        try Row.fetchAll(
            database,
            sql: """
                SELECT entry.seq, entry.event, (SELECT received_at FROM audit_batches AS batch
                    WHERE batch.log = entry.log AND last >= entry.seq ORDER BY last LIMIT 1) AS at
                FROM audit_events AS entry WHERE entry.log = ? ORDER BY entry.seq DESC LIMIT ?
                """,
            arguments: [log.id, count]
        ).map { row in
            let at: Int64? = row["at"]
            return Received(at: at ?? 0, epoch: log.place.epoch, seq: row["seq"], event: row["event"])
        }
    }

    /// Time, node and number, name, outcome, then what happened.
    static func line(_ bytes: Data) -> String {
        guard let event = try? CanonicalJSON(bytes) else { return "? an event that is not canonical" }
        let time = event["time"]?.text.map { $0.prefix(19) + "Z" } ?? "?"
        let place = "\(event["node"]?.text ?? "?")#\(event["seq"]?.integer ?? 0)"
        var words = [String(time), place, event["name"]?.text ?? "?", event["outcome"]?.text ?? "?"]
        if case .object(let members)? = event["fields"] {
            words += members.map { "\($0.key)=\($0.value.plainText)" }
        }
        return words.joined(separator: "  ")
    }
}

struct AuditExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print one log: its events, an empty line, its last signed checkpoint.",
        discussion: """
            Without --epoch, the newest log that fits. `nodeguard audit verify` checks it anywhere, with the keys that \
            `nodeguard-plane audit keys` prints.
            """)

    @OptionGroup var selection: AuditSelection
    @Option(help: "Which log of the node.") var epoch: UInt64?
    @OptionGroup var state: StateOption

    func run() throws {
        let state = try state.open()
        try state.database.read { database in
            let logs = try selection.logs(database).filter { epoch == nil || $0.place.epoch == epoch }
            guard Set(logs.map { "\($0.place.cluster)/\($0.place.node)" }).count == 1,
                let log = logs.max(by: { $0.place.epoch < $1.place.epoch })
            else {
                throw PlaneProblem(
                    logs.isEmpty ? "there is no such log" : "several nodes have logs",
                    remedy: "name one with --node and --cluster; `nodeguard-plane audit list` shows them")
            }
            guard
                let row = try Row.fetchOne(
                    database,
                    sql: "SELECT checkpoint, cosignature FROM audit_batches WHERE log = ? ORDER BY last DESC LIMIT 1",
                    arguments: [log.id])
            else {
                throw PlaneProblem(
                    "no event of \(log.place.origin) has arrived yet", remedy: "`nodeguard status` on the node says why"
                )
            }
            let events = try Data.fetchCursor(
                database, sql: "SELECT event FROM audit_events WHERE log = ? ORDER BY seq", arguments: [log.id])
            while let event = try events.next() { print(String(decoding: event, as: UTF8.self)) }
            print("\n" + (row["checkpoint"] as String) + (row["cosignature"] as String), terminator: "")
        }
    }
}

struct AuditKeys: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Print the public keys that verify exports: of each log, and of this plane.",
        discussion: "C2SP verifier keys, one a line, for `nodeguard audit verify --key`. The last is this plane's.")

    @OptionGroup var selection: AuditSelection
    @OptionGroup var state: StateOption

    func run() throws {
        let state = try state.open()
        for log in try state.database.read({ try selection.logs($0) }) {
            let key = try Curve25519.Signing.PublicKey(rawRepresentation: log.publicKey)
            print(SignedNote.verifierKey(name: log.place.origin, algorithm: .ed25519, key: key))
        }
        print(state.witness.verifierKey)
    }
}

struct AuditVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Recompute sequence, hash tree and signatures; exit status 1 if anything is off.")

    @OptionGroup var selection: AuditSelection
    @Flag(help: "As JSON, one log a line.") var json = false
    @OptionGroup var state: StateOption

    struct Line: Encodable {
        let cluster: String
        let node: String
        let epoch: UInt64
        let events: UInt64
        let checkpoints: Int
        let intact: Bool
        let flaw: String?
    }

    func run() throws {
        let state = try state.open()
        let lines = try state.database.read { database in
            try selection.logs(database).map { log in
                let report = try AuditLogVerification(log: log, witness: state.witness).run(database)
                return Line(
                    cluster: log.place.cluster, node: log.place.node, epoch: log.place.epoch, events: report.events,
                    checkpoints: report.checkpoints, intact: report.flaw == nil, flaw: report.flaw)
            }
        }
        let broken = lines.filter { !$0.intact }
        let logs = lines.count == 1 ? "1 log" : "\(lines.count) logs"
        if json {
            for line in lines { try JSONOutput.print(line) }
        } else if let first = broken.first {
            let log = "\(first.node) of \(first.cluster), epoch \(first.epoch)"
            print("BROKEN: \(broken.count) of \(logs); \(log): \(first.flaw ?? "")")
        } else {
            let events = lines.reduce(0) { $0 + $1.events }
            let checkpoints = lines.reduce(0) { $0 + $1.checkpoints }
            guard selection.node == nil || !lines.isEmpty else {
                throw PlaneProblem(
                    "no audit log of \(selection.node ?? "") was received",
                    remedy: "`nodeguard-plane audit list` shows all")
            }
            print(
                "intact: \(events) events in \(logs); sequence, hash tree, "
                    + "\(checkpoints) signed checkpoints and their cosignatures hold")
        }
        if !broken.isEmpty { throw ExitCode(1) }
    }
}
