/// Terms of a rule, compiled: conditions that must all hold. Values are compared byte for byte: Swift's strings are
/// equal when Unicode says so, and certificates are not.
struct RuleClause: Sendable, Equatable {
    private enum Condition: Sendable, Equatable {
        case value(AccessRule.Key, Set<[UInt8]>)
        case uri([URIPattern])
        case all([RuleClause])
        case any([RuleClause])
    }

    /// Those of the session last, so that a mismatch there says that the certificate itself would do; the user before
    /// the database, which goes by the user's name.
    private let conditions: [Condition]

    init(_ terms: RuleTerms, depth: Int = 0) throws(AccessRule.Mistake) {
        guard !terms.isEmpty else { throw .init(key: nil, value: nil, reason: "a rule needs at least one key") }
        guard depth <= RuleTerms.depthLimit else {
            throw .init(key: nil, value: nil, reason: "groups are nested more than \(RuleTerms.depthLimit) levels deep")
        }
        if terms.keys[.serial] != nil, terms.keys[.issuer] == nil {
            throw .init(
                key: .serial, value: nil, reason: "a serial number counts with its issuer: add the key \"issuer\"")
        }
        var certificate: [Condition] = []
        var session: [Condition] = []
        for (key, values) in terms.keys.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            guard !values.isEmpty else { throw .init(key: key, value: nil, reason: "needs at least one value") }
            let condition = try Self.condition(key, values)
            switch key {
            case .databaseUser: session.insert(condition, at: 0)
            case .database: session.append(condition)
            default: certificate.append(condition)
            }
        }
        if let all = terms.all { certificate.append(.all(try Self.group("all", all, depth))) }
        if let any = terms.any { certificate.append(.any(try Self.group("any", any, depth))) }
        conditions = certificate + session
    }

    private static func group(
        _ name: String, _ terms: [RuleTerms], _ depth: Int
    ) throws(AccessRule.Mistake) -> [RuleClause] {
        guard !terms.isEmpty else { throw .init(key: nil, value: nil, reason: "'\(name)' needs at least one rule") }
        var clauses: [RuleClause] = []
        for one in terms {
            guard one.replication == nil else {
                throw .init(key: nil, value: nil, reason: "'replication' belongs to a whole rule, not into '\(name)'")
            }
            clauses.append(try RuleClause(one, depth: depth + 1))
        }
        return clauses
    }

    private static func condition(
        _ key: AccessRule.Key, _ values: [String]
    ) throws(AccessRule.Mistake) -> Condition {
        guard key == .uri else { return .value(key, try key.compiled(values)) }
        var patterns: [URIPattern] = []
        for value in values {
            do throws(URIPattern.Mistake) { patterns.append(try URIPattern(value)) } catch {
                throw .init(key: key, value: value, reason: error.reason)
            }
        }
        return .uri(patterns)
    }

    func matches(_ peer: PeerAttributes) -> Bool {
        conditions.allSatisfy { condition in
            switch condition {
            case .value(let key, let wanted): peer.values(key).contains(where: wanted.contains)
            case .uri(let patterns): peer.uris.contains { uri in patterns.contains { $0.matches(uri) } }
            case .all(let clauses): clauses.allSatisfy { $0.matches(peer) }
            case .any(let clauses): clauses.contains { $0.matches(peer) }
            }
        }
    }

    /// The first condition that does not hold; nil if and only if it matches.
    func mismatch(with peer: PeerAttributes) -> RuleMismatch? {
        for condition in conditions {
            switch condition {
            case .value(let key, let wanted):
                if peer.values(key).contains(where: wanted.contains) { continue }
                return .key(key, has: peer.shown(key))
            case .uri(let patterns):
                if peer.uris.contains(where: { uri in patterns.contains { $0.matches(uri) } }) { continue }
                return .key(.uri, has: peer.shown(.uri))
            case .all(let clauses):
                for clause in clauses {
                    if let mismatch = clause.mismatch(with: peer) { return mismatch }
                }
            case .any(let clauses):
                let mismatches = clauses.compactMap { $0.mismatch(with: peer) }
                if mismatches.count == clauses.count { return .none(of: mismatches) }
            }
        }
        return nil
    }
}
