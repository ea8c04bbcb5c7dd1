import Certificates
import Management
import PlaneAPI
import Proxy

/// A desired state in the terms of this node: what it takes away from listeners, how roles are called, what becomes of
/// each part. Made before anything of it is put into effect, so that it fits as a whole or not at all.
struct DesiredOverlay: Sendable {
    private(set) var denied = DenyList()
    /// By listener; of none that is not there.
    private(set) var narrowings: [String: PolicyNarrowing] = [:]
    /// By role.
    private(set) var names: [String: RoleNames] = [:]
    private(set) var results: [ObservedState.Result] = []

    /// Nothing is desired.
    init() {}

    /// Nobody is let in at any listener.
    init(closing configuration: NodeConfiguration) {
        for listener in configuration.proxy.listeners { narrowings[listener.name] = .closed }
    }

    init(_ content: DesiredContent, on configuration: NodeConfiguration) throws(DesiredRefusal) {
        if !content.deny.isEmpty {
            let text = content.deny.map { $0.line + "\n" }.joined()
            do throws(DenyList.Mistakes) { denied = try DenyList(text: Array(text.utf8), path: "deny") } catch {
                throw DesiredRefusal(.notApplicable, error.description)
            }
            results.append(ObservedState.Result(resource: "deny", outcome: "applied"))
        }
        for (name, listener) in content.listeners.sorted(by: { $0.key < $1.key }) {
            let section = configuration.proxy.listeners.first { $0.name == name }
            if let section { narrowings[name] = try Self.narrowing(listener, of: section) }
            results.append(
                ObservedState.Result(resource: "listener \(name)", outcome: section == nil ? "absent" : "applied"))
        }
        for (name, role) in content.roles.sorted(by: { $0.key < $1.key }) {
            let isKnown = configuration.certificates.roles.contains { section in
                if case .enrolled = section.source { section.name == name } else { false }
            }
            if isKnown { names[name] = try Self.names(role, of: name) }
            results.append(
                ObservedState.Result(resource: "role \(name)", outcome: isKnown ? "applied" : "absent"))
        }
    }

    private static func narrowing(
        _ listener: DesiredListener, of section: ListenerSection
    ) throws(DesiredRefusal) -> PolicyNarrowing {
        var allow: [[AccessRule]] = []
        for list in listener.allow { allow.append(try rules(list, section, "allow")) }
        return PolicyNarrowing(allow: allow, deny: try rules(listener.deny, section, "deny"))
    }

    private static func rules(
        _ wanted: [DesiredRule], _ section: ListenerSection, _ list: String
    ) throws(DesiredRefusal) -> [AccessRule] {
        var rules: [AccessRule] = []
        for (index, rule) in wanted.enumerated() {
            let place = "listeners.\(section.name).\(list)[\(index)]"
            if rule.namesSession, section.databaseProtocol != .postgres {
                throw DesiredRefusal(
                    .notApplicable, "\(place): only the protocol postgres names a session before the rules decide")
            }
            do throws(AccessRule.Mistake) { rules.append(try AccessRule(rule.terms)) } catch {
                throw DesiredRefusal(.notApplicable, "\(place): \(error)")
            }
        }
        return rules
    }

    private static func names(_ role: DesiredRole, of name: String) throws(DesiredRefusal) -> RoleNames {
        var addresses: [[UInt8]] = []
        for text in role.addresses {
            do throws(Flaw) { addresses.append(try Form<[UInt8]>.ipAddress.read(text)) } catch {
                throw DesiredRefusal(.notApplicable, "roles.\(name).addresses: \(error.text)")
            }
        }
        return RoleNames(dnsNames: role.dns, addresses: addresses, uris: role.uris)
    }
}

extension DesiredRule {
    fileprivate var terms: RuleTerms {
        var terms = RuleTerms()
        for key in AccessRule.Key.allCases { terms.keys[key] = values[key.rawValue] }
        terms.all = all?.map(\.terms)
        terms.any = any?.map(\.terms)
        terms.replication = replication.flatMap(RuleTerms.Replication.init)
        return terms
    }

    fileprivate var namesSession: Bool {
        replication != nil || values["database-user"] != nil || values["database"] != nil
            || ((all ?? []) + (any ?? [])).contains(where: \.namesSession)
    }
}
