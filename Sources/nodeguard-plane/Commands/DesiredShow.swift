import ArgumentParser
import FoundationEssentials
import PlaneAPI

extension DesiredCommand {
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what is desired, and what nodes say that they have applied.")

        @Option(help: "The cluster.") var cluster: String
        @Option(help: "Only of this node.") var node: String?
        @Flag(help: "As JSON.") var json = false
        @OptionGroup var state: StateOption

        private struct Document: Encodable {
            let cluster: String
            let version: Int64
            /// `*`: of all nodes.
            let contents: [String: DesiredContent]
            let nodes: [NodeLine]
        }

        struct NodeLine: Encodable {
            let node: String
            let applied: Int64?
            let refusal: ObservedState.Refusal?
            let results: [ObservedState.Result]

            /// In one cell.
            var state: String {
                if let refusal { return "refused: \(refusal.reason)" }
                let rest = results.filter { $0.outcome != "applied" }.map { "\($0.resource) \($0.outcome)" }
                return rest.isEmpty ? "-" : rest.joined(separator: ", ")
            }
        }

        func run() throws {
            let state = try state.open()
            let document = try state.database.read { database in
                try state.requireCluster(cluster, database)
                let contents = try DesiredStates.contents(of: cluster, database).filter { name, _ in
                    node == nil || name == node || name.isEmpty
                }
                let names = try String.fetchAll(
                    database, sql: "SELECT name FROM nodes WHERE cluster = ? ORDER BY name", arguments: [cluster])
                let lines = try names.filter { node == nil || $0 == node }.map { name in
                    let desired = try ObservedReports.last(of: name, in: cluster, database)?.report.desired
                    return NodeLine(
                        node: name, applied: desired?.version, refusal: desired?.refusal,
                        results: desired?.results ?? [])
                }
                return Document(
                    cluster: cluster, version: try DesiredStates.version(of: cluster, database),
                    contents: Dictionary(uniqueKeysWithValues: contents.map { ($0.isEmpty ? "*" : $0, $1) }),
                    nodes: lines)
            }
            if json { return try JSONOutput.print(document) }
            print("\(cluster): version \(document.version)")
            for (name, content) in document.contents.sorted(by: { $0.key < $1.key }) {
                let text = String(decoding: try JSONEncoder.plane.encode(content), as: UTF8.self)
                print("\(name == "*" ? "all nodes" : name): \(text)")
            }
            var table = TextTable(["NODE", "APPLIED", "STATE"])
            for line in document.nodes { table.add([line.node, line.applied.map { String($0) } ?? "-", line.state]) }
            print(table)
        }
    }
}
