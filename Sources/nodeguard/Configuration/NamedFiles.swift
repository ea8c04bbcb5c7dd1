import Certificates
import IO
import OpenSSL
import Proxy
import Reports

/// What is wrong with the files and groups that a configuration names, each where it is named.
extension NodeConfiguration {
    /// What keeps a node from starting, and a change from being taken.
    var fileMistakes: [ConfigurationMistake] {
        trustMistakes + revocationMistakes + ruleFileMistakes + groupMistakes
    }

    /// Of the files of authorities that listeners name.
    var trustMistakes: [ConfigurationMistake] {
        eachListener { listener, key -> [ConfigurationMistake] in
            let named =
                listener.trustFiles.map { ("trust", $0, CertificatePurpose.client) }
                + listener.backendTLS.trustFiles.map { ("backend-trust", $0, .server) }
            return named.flatMap { name, path, purpose in
                mistakes(key, name, "file:" + path, "listener \(listener.name): \(name) \"file:\(path)\"") {
                    _ = try listener.authorities(in: path, for: purpose)
                }
            }
        }
    }

    /// Of certificates that someone else brings: a daemon waits for them, and a reload does not.
    var certificateMistakes: [ConfigurationMistake] {
        certificates.roles.flatMap { role -> [ConfigurationMistake] in
            guard case .files(let chain, let key) = role.source,
                let flaw = CertificateFiles.flaw(chain: chain, key: key, at: Timestamp.now.seconds)
            else { return [] }
            return mistakes(ofRole: role.name, flaw)
        }
    }

    func mistakes(ofRole name: String, _ flaw: String) -> [ConfigurationMistake] {
        let index = certificates.roles.firstIndex { $0.name == name }
        return places.mistakes("role \(name): \(flaw)", at: "certificates.roles[\(index ?? -1)].name", name)
    }

    private var revocationMistakes: [ConfigurationMistake] {
        eachListener { listener, key -> [ConfigurationMistake] in
            let authorities = listener.trustFiles.flatMap { (try? listener.authorities(in: $0)) ?? [] }
            let lists = (listener.revocation?.files ?? []).flatMap { path in
                mistakes(key, "crl", "file:" + path, "listener \(listener.name): crl \"file:\(path)\"") {
                    _ = try RevocationList.parse(contentsOf: path, issuers: authorities)
                }
            }
            let own = listener.denyList.map { path in
                mistakes(key, "deny-list", path, "listener \(listener.name): deny-list") {
                    _ = try DenyList(path: path)
                }
            }
            return lists + (own ?? [])
        }
            + (proxy.defaults.denyList.map { path in
                mistakes("proxy.defaults", "deny-list", path, "deny-list") { _ = try DenyList(path: path) }
            } ?? [])
    }

    private var ruleFileMistakes: [ConfigurationMistake] {
        eachListener { listener, key in
            mistakes(key, "database-user-map", listener.databaseUserMap ?? "", "listener \(listener.name)") {
                _ = try listener.policy()
            }
        }
    }

    private var groupMistakes: [ConfigurationMistake] {
        guard let group = status.group, !Files.isGroup(group) else { return [] }
        return places.mistakes(
            "there is no group '\(group)' on this machine: make it (groupadd --system \(group)), or name another",
            at: "status.group", group)
    }

    // MARK: walking

    private func eachListener(
        _ body: (ListenerSection, _ key: String) -> [ConfigurationMistake]
    ) -> [ConfigurationMistake] {
        proxy.listeners.enumerated().flatMap { body($1, "proxy.listeners[\($0)]") }
    }

    private func mistakes(
        _ section: String, _ key: String, _ value: String, _ what: String, _ use: () throws -> Void
    ) -> [ConfigurationMistake] {
        do {
            try use()
            return []
        } catch {
            let lines = "\(error)".split(separator: "\n").map { "\(what): \($0)" }
            return places.mistakes(lines.joined(separator: "\n"), at: "\(section).\(key)", value)
        }
    }
}
