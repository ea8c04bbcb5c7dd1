import ArgumentParser
import FoundationEssentials

struct RoleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "role", abstract: "Say what nodes may be certified for.", subcommands: [Allow.self, List.self])

    struct Allow: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Allow a node one role; replaces what was allowed for it before.",
            discussion:
                "The role `node` is the node identity itself; without an entry it may name the node and no more.")

        @Option(help: "The node's cluster.") var cluster: String
        @Option(help: "The node's name.") var node: String
        @Option(help: "The role's name.") var role: String
        @Option(help: "A DNS name it may have; repeatable.") var dns: [String] = []
        @Option(help: "An IP address it may have; repeatable.") var ip: [String] = []
        @Option(help: "A URI it may have; repeatable.") var uri: [String] = []
        @Option(help: "server, client, or both with a comma.") var usage = "server,client"
        @Option(help: "How many days a certificate lives.") var days: Int?
        @Option(help: "How many seconds a certificate lives, instead of --days.") var lifetime: Int64?
        @OptionGroup var state: StateOption

        func validate() throws { _ = try policy() }

        private func policy() throws -> IssuancePolicy {
            try requireName(node, "the node's name")
            try requireName(role, "the role's name")
            let addresses = try ip.map { text in
                guard let address = NetworkAddress(text) else {
                    throw ValidationError("--ip '\(text)' is no IP address")
                }
                return address
            }
            let usages = try usage.split(separator: ",").map { text in
                guard let usage = CertificateUsage(rawValue: String(text)) else {
                    throw ValidationError("--usage '\(text)' is neither server nor client")
                }
                return usage
            }
            guard !usages.isEmpty else { throw ValidationError("--usage names neither server nor client") }
            for text in dns + uri where text.isEmpty || !text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
                throw ValidationError("the name '\(text)' has characters that no certificate name has")
            }
            let seconds = lifetime ?? days.map { Int64($0) * 86_400 } ?? IssuancePolicy.defaultLifetime
            guard (5...CertificateAuthority.intermediateLifetime).contains(seconds), days == nil || lifetime == nil
            else {
                throw ValidationError("give --days or --lifetime, at least 5 seconds and at most 5 years")
            }
            return IssuancePolicy(
                cluster: cluster, node: node, role: role == IssuancePolicy.identityRole ? nil : role, dns: dns,
                addresses: addresses, uris: uri, usages: Set(usages), lifetime: seconds)
        }

        func run() throws {
            let state = try state.open()
            let policy = try policy()
            try state.database.write { database in
                try state.requireCluster(cluster, database)
                try state.invite(node: node, of: cluster, now: UnixTime.now, database)
                try policy.store(database)
                try state.log.record(
                    PlaneEvent(
                        name: "role.allow", actor: .caller, cluster: cluster, node: node,
                        detail: policy.summary),
                    now: UnixTime.now, database)
            }
            print("\(node) of \(cluster) may be certified for the role \(role)")
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List what nodes may be certified for.")

        @OptionGroup var state: StateOption
        @Flag(help: "As JSON.") var json = false

        struct Line: Encodable {
            let cluster: String
            let node: String
            let role: String
            let dns: [String]
            let addresses: [String]
            let uris: [String]
            let usages: [String]
            let lifetime: Int64
        }

        func run() throws {
            let lines = try state.open().database.read { try IssuancePolicy.all($0) }.map { policy in
                Line(
                    cluster: policy.cluster, node: policy.node, role: policy.role ?? IssuancePolicy.identityRole,
                    dns: policy.dns, addresses: policy.addresses.map(\.description), uris: policy.uris,
                    usages: policy.usages.sorted().map(\.rawValue), lifetime: policy.lifetime)
            }
            if json { return try JSONOutput.print(lines) }
            var table = TextTable(["CLUSTER", "NODE", "ROLE", "USAGE", "LIFETIME", "NAMES"])
            for line in lines {
                table.add([
                    line.cluster, line.node, line.role, line.usages.joined(separator: ","),
                    TimeSpan(seconds: line.lifetime).defaultValueDescription,
                    (line.dns + line.addresses + line.uris).joined(separator: " "),
                ])
            }
            print(table)
        }
    }
}
