import PlaneAPI

/// The label of an EST path: `<cluster>` for the node identity, `<cluster>.<role>` for a role. A cluster's name holds
/// no dot, so the first one divides.
struct ESTLabel: Sendable, Equatable {
    let cluster: String
    let role: String?

    init?(_ text: String) {
        guard text.utf8.count <= 128 else { return nil }
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let cluster = parts.first, Name.isValid(cluster) else { return nil }
        self.cluster = cluster
        role = parts.count > 1 ? parts[1] : nil
        if let role, !Name.isValid(role) { return nil }
    }

    static func isClusterName(_ text: String) -> Bool { Name.isValid(text) && !text.contains(".") }
}
