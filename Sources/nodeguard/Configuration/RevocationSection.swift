import OpenSSL
import Proxy

extension RevocationConfiguration {
    private static let graceLimits = Duration.seconds(60)...Duration.seconds(90 * 86_400)

    /// `crl:` of a listener, with the keys that say how it is used.
    static func read(_ section: Section, _ roles: CertificateRoles) -> RevocationConfiguration? {
        let lists = section.list("crl", .revocationList)
        let depth = section.located("crl-check", Form<RevocationRules.Depth>.word("depth of looking up"))
        let freshness = section.located("crl-freshness", .freshness(graceLimits))
        guard let lists else {
            if section.has("crl") { return nil }
            for (key, position) in [("crl-check", depth?.position), ("crl-freshness", freshness?.position)] {
                if let position { section.add("'\(key)' says nothing without 'crl'", at: position) }
            }
            return nil
        }
        if lists.isEmpty {
            section.add("'crl' needs at least one value", at: section.place(of: "crl"))
            return nil
        }
        for one in lists where one.value == .cluster && !roles.isManaged {
            section.add(
                "without 'management' there is no plane to give CRLs: write \"file:/…/crl.pem\"", at: one.position)
        }
        let rules = RevocationRules(depth: depth?.value ?? .chain, freshness: freshness?.value ?? .strict)
        return RevocationConfiguration(
            files: lists.compactMap(\.value.file), usesCluster: lists.contains { $0.value == .cluster }, rules: rules)
    }

    var shown: ConfigurationText.Members {
        [
            ("crl", .list((usesCluster ? ["cluster"] : []) + files.map { "file:" + $0 })),
            ("crl-check", .text(rules.depth.rawValue)),
            ("crl-freshness", .text(rules.freshness.text)),
        ]
    }
}

extension RevocationRules.Freshness {
    /// As `Form.freshness` reads it.
    fileprivate var text: String {
        switch self {
        case .strict: "strict"
        case .grace(let seconds): "grace " + Quantity.text(.seconds(seconds))
        case .lastKnown: "last-known"
        }
    }
}

extension Form where Value == RevocationRules.Freshness {
    /// `strict`, `grace 24h` or `last-known`.
    fileprivate static func freshness(_ range: ClosedRange<Duration>) -> Form {
        Form { text throws(Flaw) in
            switch text {
            case "strict": return .strict
            case "last-known": return .lastKnown
            default: break
            }
            let words = text.split(separator: " ")
            guard words.first == "grace", words.count == 2 else {
                throw Flaw("'\(text)' is no freshness: write strict, grace 24h or last-known")
            }
            return .grace(seconds: try Form<Duration>.duration(range).read(String(words[1])).components.seconds)
        }
    }
}

/// One value of `crl:`.
private enum RevocationSource: Sendable, Equatable {
    /// What the plane publishes.
    case cluster
    case file(String)

    var file: String? { if case .file(let path) = self { path } else { nil } }
}

extension Form where Value == RevocationSource {
    fileprivate static var revocationList: Form {
        Form { text throws(Flaw) in
            if text == "cluster" { return .cluster }
            guard text.hasPrefix("file:/") else {
                throw Flaw("'\(text)' is no CRL: write cluster or \"file:/…/crl.pem\"")
            }
            return .file(try Form<String>.path.read(String(text.dropFirst("file:".count))))
        }
    }
}
