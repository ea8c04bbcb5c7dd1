import OpenSSL
import Proxy

extension RevocationConfiguration {
    private static let graceLimits = Duration.seconds(60)...Duration.seconds(90 * 86_400)

    /// `crl:` of a listener, with the keys that say how it is used.
    static func read(_ section: Section) -> RevocationConfiguration? {
        let files = section.list("crl", .revocationList)
        let depth = section.located("crl-check", Form<RevocationRules.Depth>.word("depth of looking up"))
        let freshness = section.located("crl-freshness", .freshness(graceLimits))
        guard let files else {
            if section.has("crl") { return nil }
            for (key, position) in [("crl-check", depth?.position), ("crl-freshness", freshness?.position)] {
                if let position { section.add("'\(key)' says nothing without 'crl'", at: position) }
            }
            return nil
        }
        if files.isEmpty {
            section.add("'crl' needs at least one value", at: section.place(of: "crl"))
            return nil
        }
        let rules = RevocationRules(depth: depth?.value ?? .chain, freshness: freshness?.value ?? .strict)
        return RevocationConfiguration(files: files.map(\.value), rules: rules)
    }

    var shown: ConfigurationText.Members {
        [
            ("crl", .list(files.map { "file:" + $0 })), ("crl-check", .text(rules.depth.rawValue)),
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

extension Form where Value == String {
    /// Gives the path.
    fileprivate static var revocationList: Form {
        Form { text throws(Flaw) in
            if text == "cluster" {
                throw Flaw("CRLs of the cluster are not supported by this version: write \"file:/…/crl.pem\"")
            }
            guard text.hasPrefix("file:/") else { throw Flaw("'\(text)' is no CRL: write \"file:/…/crl.pem\"") }
            return try path.read(String(text.dropFirst("file:".count)))
        }
    }
}
