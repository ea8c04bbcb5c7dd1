import ArgumentParser
import Crypto
import FoundationEssentials
import PlaneAPI

struct DesiredCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "desired",
        abstract: "Say what nodes are to do beyond their own configuration: whom to refuse, what to renew.",
        discussion: """
            It can only take away from what a node's own file allows. It is signed with the cluster's configuration \
            key, which a running plane does not need to hand it out.
            """,
        subcommands: [Set.self, Show.self, Clear.self, RotateKey.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set it for a cluster, or for one node beside that; replaces what was set before.")

        @Argument(help: ArgumentHelp("A JSON file; - for standard input.", valueName: "file")) var file: String
        @Option(help: "The cluster.") var cluster: String
        @Option(help: "Only for this node, beside what is set for its cluster.") var node: String?
        @Option(
            help: "How long nodes may still begin to apply it, such as 30d; a running plane renews it in half of that.")
        var expires: TimeSpan?
        @OptionGroup var state: StateOption

        func validate() throws {
            guard expires.map({ (60...365 * 86_400).contains($0.seconds) }) ?? true else {
                throw ValidationError("--expires is 60s to 365d")
            }
        }

        func run() throws {
            let bytes = try read()
            let content: DesiredContent
            do throws(JSONFlaw) { content = try DesiredContent(reading: bytes) } catch {
                let place = error.place(in: bytes)
                throw PlaneProblem(
                    "\(file):\(place.line):\(place.column): \(error)", remedy: "nothing was changed; correct the file")
            }
            let state = try state.open()
            let version = try state.database.write { database in
                try state.requireCluster(cluster, database)
                if let node { try requireNode(node, of: cluster, database) }
                let now = UnixTime.now
                let version = try DesiredStates.set(
                    content, node: node, of: cluster, lifetime: expires?.seconds, state, now: now, database)
                try state.log.record(
                    PlaneEvent(
                        name: "desired.set", actor: .caller, cluster: cluster, node: node,
                        detail: "version \(version), SHA-256 of the file \(Hex.lower(SHA256.hash(data: bytes))): "
                            + content.summary),
                    now: now, database)
                return version
            }
            print("version \(version) is desired of \(node ?? "all nodes") of \(cluster): \(content.summary)")
        }

        private func read() throws -> [UInt8] {
            let limit = DesiredState.payloadLimit
            let bytes: Data
            do {
                bytes = try Data(contentsOf: URL(filePath: file == "-" ? "/dev/stdin" : file))
            } catch {
                throw PlaneProblem("\(file) cannot be read", remedy: "name a JSON file, or - for standard input")
            }
            guard bytes.count <= limit else {
                throw PlaneProblem("\(file) is longer than \(limit) bytes", remedy: "nothing was changed")
            }
            return Array(bytes)
        }
    }

    struct Clear: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take back what was set for a cluster, or for one node.")

        @Option(help: "The cluster.") var cluster: String
        @Option(help: "Only what was set for this node.") var node: String?
        @OptionGroup var state: StateOption

        func run() throws {
            let state = try state.open()
            let version = try state.database.write { database in
                let now = UnixTime.now
                guard
                    let version = try DesiredStates.clear(node: node, of: cluster, state, now: now, database)
                else {
                    throw PlaneProblem(
                        "nothing was set for \(node.map { "the node \($0)" } ?? "the cluster") of \(cluster)",
                        remedy: "`nodeguard-plane desired show --cluster \(cluster)` shows what is")
                }
                try state.log.record(
                    PlaneEvent(
                        name: "desired.clear", actor: .caller, cluster: cluster, node: node,
                        detail: "version \(version)"),
                    now: now, database)
                return version
            }
            print("version \(version) of \(cluster) is without what was set for \(node ?? "the cluster")")
        }
    }

    struct RotateKey: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make another configuration key, and sign everything with it; nodes take the old one no more.")

        @Option(help: "The cluster.") var cluster: String
        @OptionGroup var root: RootKeyOption
        @OptionGroup var state: StateOption

        func run() throws {
            let state = try root.open(state)
            let version = try state.database.write { database in
                try state.requireCluster(cluster, database)
                let now = UnixTime.now
                _ = try ConfigurationKey.make(for: cluster, state, by: .caller, now: now, database)
                return try DesiredStates.sign(cluster, state, by: .caller, now: now, database)
            }
            print("version \(version) of \(cluster) is signed with a new key")
        }
    }
}

private func requireNode(_ node: String, of cluster: String, _ database: Database) throws {
    let count = try Int64.fetchOne(
        database, sql: "SELECT count(*) FROM nodes WHERE cluster = ? AND name = ?", arguments: [cluster, node])
    guard count == 1 else {
        throw PlaneProblem("there is no node \(node) in \(cluster)", remedy: "`nodeguard-plane nodes` lists them")
    }
}

extension DesiredContent {
    /// In one line.
    fileprivate var summary: String {
        "\(deny.count) denied, listeners [\(listeners.keys.sorted().joined(separator: ", "))], "
            + "roles [\(roles.keys.sorted().joined(separator: ", "))], "
            + "orders [\(reissue.map(\.id).joined(separator: ", "))]"
    }
}
