import Synchronization

/// The entity tags of all desired states, read again only when one was signed since.
final class DesiredTags: Sendable {
    /// Of a node for which there is none.
    static let none = "\"none\""

    private struct State {
        var mark: Int64 = -1
        var tags: [String: String] = [:]
    }

    private let state = Mutex(State())

    static func tag(_ hash: String) -> String { "\"\(hash)\"" }

    /// Who waits for the state of this node.
    static func name(_ node: String, _ cluster: String) -> String { "\(cluster)/\(node)" }

    func refresh(_ database: Database) throws {
        // Versions only go up.
        let mark = try Int64.fetchOne(database, sql: "SELECT coalesce(sum(version), 0) FROM desired_versions") ?? 0
        if state.withLock({ $0.mark == mark }) { return }
        var tags: [String: String] = [:]
        for row in try Row.fetchAll(database, sql: "SELECT cluster, node, hash FROM desired_envelopes") {
            tags[Self.name(row["node"], row["cluster"])] = Self.tag(row["hash"])
        }
        state.withLock { $0 = State(mark: mark, tags: tags) }
    }

    /// `name`: as `name(_:_:)` makes it.
    func tag(of name: String) -> String {
        state.withLock { state in
            state.tags[name] ?? state.tags[name.prefix { $0 != "/" } + "/"] ?? Self.none
        }
    }
}
