/// What stands in a rule: keys with their values, and groups of further terms.
///
/// All keys must match, of each any value; so must all of `all`, and one of `any` if there are any.
package struct RuleTerms: Sendable, Equatable {
    /// `replication:`, which is a permission of its own in PostgreSQL too (pg_hba.conf).
    package enum Replication: String, Sendable, CaseIterable {
        case no, yes, only
    }

    /// Groups in groups in groups: deeper ones nobody reads.
    package static let depthLimit = 8

    package var keys: [AccessRule.Key: [String]]
    package var all: [RuleTerms]?
    package var any: [RuleTerms]?
    /// Of a whole rule only, never of a group.
    package var replication: Replication?

    package init(
        _ keys: [AccessRule.Key: [String]] = [:], all: [RuleTerms]? = nil, any: [RuleTerms]? = nil,
        replication: Replication? = nil
    ) {
        self.keys = keys
        self.all = all
        self.any = any
        self.replication = replication
    }

    package var isEmpty: Bool { keys.isEmpty && all == nil && any == nil }

    var namesSession: Bool {
        keys.keys.contains(where: \.isOfSession) || ((all ?? []) + (any ?? [])).contains(where: \.namesSession)
    }
}

extension RuleTerms: CustomStringConvertible {
    /// As YAML writes it in one line.
    package var description: String {
        var parts = keys.sorted { $0.key.rawValue < $1.key.rawValue }.map { key, values in
            let text = values.joined(separator: ", ")
            return "\(key.rawValue): " + (values.count == 1 ? text : "[\(text)]")
        }
        for (name, group) in [("all", all), ("any", any)] {
            guard let group else { continue }
            parts.append("\(name): [" + group.map { "{\($0)}" }.joined(separator: ", ") + "]")
        }
        if let replication { parts.append("replication: \(replication.rawValue)") }
        return parts.joined(separator: ", ")
    }
}
