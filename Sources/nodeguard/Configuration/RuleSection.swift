import Proxy

/// One rule of `allow` or `deny`: as it was written, and compiled.
struct RuleSection: Sendable, Equatable {
    let terms: RuleTerms
    let rule: AccessRule

    static func read(_ section: Section, _ databaseProtocol: DatabaseProtocol?) -> RuleSection? {
        let reading = RuleReading(databaseProtocol)
        let terms = reading.rule(section)
        guard reading.isRight else { return nil }
        do throws(AccessRule.Mistake) {
            return RuleSection(terms: terms, rule: try AccessRule(terms))
        } catch {
            section.add(error.description, at: error.key.map { section.place(of: $0.rawValue) } ?? section.position)
            return nil
        }
    }
}

/// Reads one rule and its groups, and remembers whether all of it was right. Belongs to one reading, on one thread.
private final class RuleReading {
    private static let replicationKey = "replication"
    private let databaseProtocol: DatabaseProtocol?
    private(set) var isRight = true

    init(_ databaseProtocol: DatabaseProtocol?) { self.databaseProtocol = databaseProtocol }

    func rule(_ section: Section) -> RuleTerms {
        let replication = section.located(Self.replicationKey, Form<RuleTerms.Replication>.word("kind of replication"))
        if replication == nil, section.has(Self.replicationKey) { isRight = false }
        if replication != nil { demandPostgres(for: Self.replicationKey, section) }
        var terms = terms(section, depth: 0)
        terms.replication = replication?.value
        return terms
    }

    private func terms(_ section: Section, depth: Int) -> RuleTerms {
        var terms = RuleTerms()
        for key in AccessRule.Key.allCases {
            guard let values = section.list(key.rawValue, .text(limit: 2048)) else {
                if section.has(key.rawValue) { isRight = false }
                continue
            }
            terms.keys[key] = values.map(\.value)
            check(key, values, section)
            if key.isOfSession { demandPostgres(for: key.rawValue, section) }
        }
        if depth < RuleTerms.depthLimit {
            terms.all = group("all", section, depth)
            terms.any = group("any", section, depth)
        } else if let name = ["all", "any"].first(where: section.has) {
            add("groups are nested more than \(RuleTerms.depthLimit) levels deep", section, name)
        }
        if terms.isEmpty, isRight {
            isRight = false
            if section.isEmpty { section.add("an empty rule would match nobody", at: section.position) }
            if depth == 0, section.has(Self.replicationKey) {
                section.add("'replication' needs a key beside it that says whose", at: section.position)
            }
        }
        if terms.keys[.serial] != nil, terms.keys[.issuer] == nil {
            add("serial: a serial number counts with its issuer: add the key \"issuer\"", section, "serial")
        }
        return terms
    }

    private func group(_ name: String, _ section: Section, _ depth: Int) -> [RuleTerms]? {
        let found = section.sections(name) { terms($0, depth: depth + 1) }
        guard section.has(name) else { return nil }
        if found.isEmpty, isRight { add("'\(name)' needs a list of at least one rule", section, name) }
        return found
    }

    /// Each value for itself, so that each mistake has its own place. A serial counts with an issuer, so it is tried
    /// with one.
    private func check(_ key: AccessRule.Key, _ values: [Section.Located<String>], _ section: Section) {
        for value in values {
            do throws(AccessRule.Mistake) {
                _ = try AccessRule(key == .serial ? [key: [value.value], .issuer: ["CN=any"]] : [key: [value.value]])
            } catch {
                section.add("'\(value.value)' \(error.reason)", at: value.position)
                isRight = false
            }
        }
        if values.isEmpty { add("'\(key.rawValue)' needs at least one value", section, key.rawValue) }
    }

    private func demandPostgres(for key: String, _ section: Section) {
        guard let databaseProtocol, databaseProtocol != .postgres else { return }
        add("only the protocol postgres says '\(key)' before the rules decide", section, key)
    }

    private func add(_ text: String, _ section: Section, _ key: String) {
        section.add(text, at: section.place(of: key))
        isRight = false
    }
}
