import ArgumentParser
import FoundationEssentials
import PlaneAPI

extension RotationCommand {
    struct Status: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say how far the rotation is, and which node keeps it waiting.")

        @Flag(help: "As JSON.") var json = false
        @OptionGroup var state: StateOption

        func run() throws {
            let status = try state.open().database.read { try RotationStatus(now: UnixTime.now, $0) }
            if json { return try JSONOutput.print(status) }
            print(status.text)
        }
    }
}

/// How far a rotation is, for people and programs.
struct RotationStatus: Encodable {
    /// none, trusting, issuing, dropped or withdrawn
    let phase: String
    /// While it is issuing: canary, everyone or halted.
    let pace: String?
    let canary: String?
    /// Why it is halted.
    let halt: String?
    let since: String?
    let roots: [Root]
    let nodes: [NodeLine]
    /// Certificates of applications, in time and not revoked, that the old root's authorities have issued.
    let oldClients: Int

    struct Root: Encodable {
        let pin: String
        let serial: String
        let until: String
        let isTrusted: Bool
        let isIssuing: Bool

        private enum CodingKeys: String, CodingKey {
            case pin, serial, until
            case isTrusted = "trusted"
            case isIssuing = "issuing"
        }
    }

    struct NodeLine: Encodable {
        let cluster: String
        let node: String
        let reported: String?
        /// Of which roots its certificates are: old, new.
        let uses: [String]
        /// What keeps the next step waiting.
        let lags: [String]
        /// Clients that refused its certificates of the new root.
        let alerts: Int64
        let listeners: [ListenerLine]
    }

    struct ListenerLine: Encodable {
        let name: String
        /// Since the agent's start.
        let oldClients: Int64
        let newClients: Int64
        let otherClients: Int64
        let unknownCA: Int64

        private enum CodingKeys: String, CodingKey {
            case name
            case oldClients = "old_clients"
            case newClients = "new_clients"
            case otherClients = "other_clients"
            case unknownCA = "unknown_ca"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case phase, pace, canary, halt, since, roots, nodes
        case oldClients = "old_clients"
    }

    init(now: Int64, _ database: Database) throws {
        let inForce = try AuthoritiesInForce(database)
        let rotation = inForce.rotation
        let machine = rotation?.machine
        phase = machine?.phase?.rawValue ?? "none"
        pace = machine?.phase == .issuing ? machine?.pace.rawValue : nil
        canary = machine?.phase == .issuing ? machine?.canary : nil
        halt = rotation?.halt
        since = machine.map { UnixTime.text($0.changedAt) }
        let trusted = Set(inForce.roots.map(\.id))
        let issuing = inForce.root(for: nil)?.id
        roots = inForce.records.filter(\.isRoot).map { root in
            Root(
                pin: root.certificate.pin, serial: root.certificate.serialText,
                until: UnixTime.text(root.certificate.notAfterSeconds), isTrusted: trusted.contains(root.id),
                isIssuing: root.id == issuing)
        }
        guard let rotation else {
            (nodes, oldClients) = ([], 0)
            return
        }
        let reporters = try RotationReports.reporters(now: now, database)
        let found = try RotationReports(rotation, inForce.records, database).nodes(reporters)
        let laggards = rotation.machine.laggards(found)
        nodes = zip(reporters, found).map { reporter, node in
            var uses: [String] = []
            if node.report?.usesOld == true { uses.append("old") }
            if node.report?.usesNew == true { uses.append("new") }
            return NodeLine(
                cluster: reporter.cluster, node: reporter.node, reported: reporter.reportedAt.map(UnixTime.text),
                uses: uses, lags: (laggards[node.name] ?? []).map(\.rawValue),
                alerts: RotationStateMachine.rise(of: node),
                listeners: Self.listeners(of: reporter, rotation, inForce.records))
        }
        oldClients = try Self.clientsOfOldRoot(rotation, now: now, database)
    }

    private static func listeners(
        of reporter: RotationReports.Reporter, _ rotation: Rotation, _ records: [AuthorityRecord]
    ) -> [ListenerLine] {
        func keys(_ root: Int64) -> Set<String> {
            Set(
                records.filter { $0.cluster == reporter.cluster && $0.root == root }
                    .map { Hex.lower($0.certificate.publicKeyDigest) })
        }
        let (old, new) = (keys(rotation.oldRoot), keys(rotation.newRoot))
        return (reporter.report?.listeners ?? []).filter { !$0.isTunnel }.map { listener in
            func count(_ isMeant: (String) -> Bool) -> Int64 {
                listener.issuers.reduce(0) { isMeant($1.key) ? $0 &+ $1.peers : $0 }
            }
            return ListenerLine(
                name: listener.name, oldClients: count(old.contains), newClients: count(new.contains),
                otherClients: count { !old.contains($0) && !new.contains($0) }, unknownCA: listener.unknownCA)
        }
    }

    static func clientsOfOldRoot(_ rotation: Rotation, now: Int64, _ database: Database) throws -> Int {
        try Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM certificates
                WHERE kind = 'client' AND revoked_at IS NULL AND not_after > ?
                    AND authority IN (SELECT id FROM authorities WHERE root = ?)
                """,
            arguments: [now, rotation.oldRoot]) ?? 0
    }

    // MARK: for people

    var text: String {
        let (paceText, sinceText) = (pace.map { " (\($0))" } ?? "", since.map { " since \($0)" } ?? "")
        var lines = ["phase: \(phase)\(paceText)\(sinceText)"]
        if let canary { lines.append("first node: \(canary)") }
        if let halt { lines.append("halted: \(halt)") }
        if oldClients > 0 { lines.append("applications with certificates of the old root: \(oldClients)") }
        var table = TextTable(["ROOT", "TRUSTED", "ISSUES", "UNTIL"])
        for root in roots {
            table.add([root.pin, root.isTrusted ? "yes" : "no", root.isIssuing ? "yes" : "no", root.until])
        }
        lines.append(table.description)
        guard !nodes.isEmpty else { return lines.joined(separator: "\n") }
        var own = TextTable(["CLUSTER", "NODE", "REPORTED", "USES", "REFUSED BY", "WAITS BECAUSE IT"])
        for node in nodes {
            own.add([
                node.cluster, node.node, node.reported ?? "never", node.uses.joined(separator: "+"),
                "\(node.alerts) clients", node.lags.isEmpty ? "-" : node.lags.joined(separator: ", "),
            ])
        }
        lines.append(own.description)
        let listeners = nodes.flatMap { node in node.listeners.map { (node, $0) } }
        guard !listeners.isEmpty else { return lines.joined(separator: "\n") }
        var seen = TextTable(["CLUSTER", "NODE", "LISTENER", "OLD CLIENTS", "NEW CLIENTS", "OTHERS", "UNKNOWN CA"])
        for (node, listener) in listeners {
            seen.add([
                node.cluster, node.node, listener.name, String(listener.oldClients), String(listener.newClients),
                String(listener.otherClients), String(listener.unknownCA),
            ])
        }
        return (lines + [seen.description]).joined(separator: "\n")
    }
}
