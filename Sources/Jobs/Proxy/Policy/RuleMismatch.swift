/// Why a rule does not match a peer: the first of its keys that fails, with what the peer has there.
package indirect enum RuleMismatch: Sendable, Equatable {
    case key(AccessRule.Key, has: [String])
    /// Each alternative of an `any` group fails, and this is how.
    case none(of: [RuleMismatch])
    /// The session is, or is not, one for replication, and the rule is for the other kind.
    case replication(isAsked: Bool)

    /// What of the session fails, where the certificate itself would do; nil where the certificate fails.
    var objection: Objection? {
        switch self {
        case .key(.databaseUser, _): .user
        case .key(.database, _): .database
        case .replication: .replication
        case .key: nil
        case .none(let mismatches): mismatches.lazy.compactMap(\.objection).first
        }
    }
}

extension RuleMismatch: CustomStringConvertible {
    package var description: String {
        switch self {
        case .key(let key, let values) where values.isEmpty: "there is no \(key.rawValue)"
        case .key(let key, let values):
            "\(key.rawValue) is " + values.map { "\"\($0)\"" }.joined(separator: ", ")
        case .none(let mismatches):
            "none of 'any': " + mismatches.map { "(\($0))" }.joined(separator: ", ")
        case .replication(isAsked: true): "it says nothing of replication"
        case .replication(isAsked: false): "it is for replication only"
        }
    }
}
