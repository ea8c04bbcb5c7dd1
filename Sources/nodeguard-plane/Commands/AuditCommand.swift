import ArgumentParser
import Crypto
import FoundationEssentials

struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Read and verify the audit logs: those that nodes sent, and the plane's own.",
        subcommands: [AuditList.self, AuditTail.self, AuditExport.self, AuditKeys.self, AuditVerify.self])
}

/// Which logs a verb is about.
struct AuditSelection: ParsableArguments {
    @Option(help: "Only of this node.") var node: String?
    @Option(help: "Only of this cluster.") var cluster: String?
    @Flag(help: "Only the plane's own log.") var plane = false

    func validate() throws {
        guard !plane || (node == nil && cluster == nil) else {
            throw ValidationError("--plane names the plane's own log, which is of no node or cluster")
        }
    }

    /// Whether the plane's own log is meant, too.
    var isOfPlane: Bool { plane || (node == nil && cluster == nil) }

    func logs(_ database: Database) throws -> [AuditReceiver.Log] {
        plane ? [] : try AuditReceiver.Log.all(node: node, cluster: cluster, database)
    }
}

struct AuditList: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the logs.")

    @OptionGroup var selection: AuditSelection
    @Flag(help: "As JSON.") var json = false
    @OptionGroup var state: StateOption

    struct Line: Encodable {
        var cluster: String?
        var node: String?
        var epoch: UInt64?
        let events: UInt64
        let root: String
        let key: String
        let received: String?
    }

    func run() throws {
        let state = try state.open()
        let lines = try state.database.read { database in
            try selection.logs(database).map { log in
                let received = try Int64.fetchOne(
                    database, sql: "SELECT max(received_at) FROM audit_batches WHERE log = ?", arguments: [log.id])
                return Line(
                    cluster: log.place.cluster, node: log.place.node, epoch: log.place.epoch, events: log.range.size,
                    root: Data(log.range.root).base64EncodedString(), key: log.publicKey.base64EncodedString(),
                    received: received.map(UnixTime.text))
            } + (selection.isOfPlane ? [Self.own(state, database)] : [])
        }
        if json { return try JSONOutput.print(lines) }
        var table = TextTable(["CLUSTER", "NODE", "EPOCH", "EVENTS", "LAST RECEIVED"])
        for line in lines {
            table.add([
                line.cluster ?? "-", line.node ?? "the plane", line.epoch.map { String($0) } ?? "-",
                String(line.events), line.received ?? "-",
            ])
        }
        print(table)
    }

    private static func own(_ state: PlaneState, _ database: Database) throws -> Line {
        let tree = try state.log.tree(database)
        return Line(
            events: tree.size, root: Data(tree.root).base64EncodedString(),
            key: state.witness.publicKey.base64EncodedString(),
            received: nil)
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
                + (selection.isOfPlane ? Self.lastOfPlane(count, database) : [])
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

    private static func lastOfPlane(_ count: Int, _ database: Database) throws -> [Received] {
        try PlaneLog.last(count, database).map { bytes in
            let event = try CanonicalJSON(bytes)
            let time = event["time"]?.text.flatMap { try? Date($0, strategy: .iso8601) }
            return Received(
                at: Int64(time?.timeIntervalSince1970 ?? 0), epoch: 0, seq: event["seq"]?.integer ?? 0, event: bytes)
        }
    }

    /// Time, node and number, name, outcome, then what happened.
    static func line(_ bytes: Data) -> String {
        guard let event = try? CanonicalJSON(bytes) else { return "? an event that is not canonical" }
        let time = event["time"]?.text.map { $0.prefix(19) + "Z" } ?? "?"
        let place = "\(event["node"]?.text ?? "plane")#\(event["seq"]?.integer ?? 0)"
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
            Without --epoch, the newest log that fits; with --plane, the plane's own. `nodeguard audit verify` checks \
            it anywhere, with the keys that `nodeguard-plane audit keys` prints.
            """)

    @OptionGroup var selection: AuditSelection
    @Option(help: "Which log of the node.") var epoch: UInt64?
    @OptionGroup var state: StateOption

    func run() throws {
        let state = try state.open()
        try state.database.read { database in
            if selection.plane { return try Self.printPlane(state, database) }
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

    /// The cosignature is of now: it says when the log was of this length.
    private static func printPlane(_ state: PlaneState, _ database: Database) throws {
        let checkpoint = try String.fetchOne(database, sql: "SELECT checkpoint FROM plane_log") ?? ""
        let note = try SignedNote(Array(checkpoint.utf8))
        let events = try Data.fetchCursor(database, sql: "SELECT event FROM plane_events ORDER BY seq")
        while let event = try events.next() { print(String(decoding: event, as: UTF8.self)) }
        print("\n" + checkpoint + (try state.witness.cosign(note.text, now: UnixTime.now)), terminator: "")
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
        if selection.isOfPlane { print(state.witness.logVerifierKey) }
        print(state.witness.verifierKey)
    }
}
