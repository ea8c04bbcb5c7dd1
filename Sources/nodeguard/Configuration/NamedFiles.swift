import Certificates
import IO
import OpenSSL
import Proxy
import Reports

/// What is wrong with the files and groups that a configuration names, each where it is named.
extension NodeConfiguration {
    /// What keeps a node from starting, and a change from being taken.
    var fileMistakes: [ConfigurationMistake] {
        trustMistakes + ports.flatMap(revocationMistakes)
            + denyListMistakes("proxy.defaults", "", proxy.defaults.denyList) + ruleFileMistakes + groupMistakes
    }

    /// Of the files of authorities.
    var trustMistakes: [ConfigurationMistake] {
        ports.flatMap { trustMistakes($0, "trust", $0.trust, $0.purpose) }
            + listeners.flatMap { trustMistakes($1, "backend-trust", $0.backendTLS.trust, .server) }
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

    /// Of authorities that time has ended: told, but kept from nothing.
    var expiryMistakes: [ConfigurationMistake] {
        let now = Timestamp.now.seconds
        return ports.flatMap { port in
            port.trust.files.flatMap { path -> [ConfigurationMistake] in
                guard let words = ListenerSection.Trust.expired(in: path, at: now) else { return [] }
                return places.mistakes(
                    "\(port.subject)trust \"file:\(path)\": \(words)", at: "\(port.key).trust", "file:" + path)
            }
        }
    }

    /// Of what is to be written for others: a daemon reports it when it comes to that.
    var publicationMistakes: [ConfigurationMistake] {
        certificates.roles.enumerated().flatMap { index, role -> [ConfigurationMistake] in
            guard let publication = role.publication?.publication else { return [] }
            // Only root sees all folders.
            let isMissing = Account.own == 0 && !Files.isDirectory(publication.directory, through: true)
            let wrong: [(key: String, value: String?, words: String)] = [
                ("directory", isMissing ? publication.directory : nil, "there is no folder"),
                ("owner", publication.owner.flatMap { Account.user($0) == nil ? $0 : nil }, "there is no user"),
                ("group", publication.group.flatMap { Account.group($0) == nil ? $0 : nil }, "there is no group"),
            ]
            return wrong.flatMap { key, value, words -> [ConfigurationMistake] in
                guard let value else { return [] }
                return places.mistakes(
                    "role \(role.name): \(words) \(value)", at: "certificates.roles[\(index)].publish.\(key)", value)
            }
        }
    }

    func mistakes(ofRole name: String, _ flaw: String) -> [ConfigurationMistake] {
        let index = certificates.roles.firstIndex { $0.name == name }
        return places.mistakes("role \(name): \(flaw)", at: "certificates.roles[\(index ?? -1)].name", name)
    }

    // MARK: ports

    /// A listener or a tunnel.
    private struct Port {
        let key: String
        let subject: String
        let trust: [ListenerSection.Trust]
        let purpose: CertificatePurpose
        let revocation: RevocationConfiguration?
        let denyList: String?
    }

    private var listeners: [(section: ListenerSection, port: Port)] {
        proxy.listeners.enumerated().map { index, listener in
            let port = Port(
                key: "proxy.listeners[\(index)]", subject: "listener \(listener.name): ", trust: listener.trust,
                purpose: .client, revocation: listener.revocation, denyList: listener.denyList)
            return (listener, port)
        }
    }

    private var ports: [Port] {
        listeners.map(\.port)
            + proxy.tunnels.enumerated().map { index, tunnel in
                Port(
                    key: "proxy.tunnels[\(index)]", subject: "tunnel \(tunnel.name): ", trust: tunnel.trust,
                    purpose: .server, revocation: tunnel.revocation, denyList: tunnel.denyList)
            }
    }

    private func trustMistakes(
        _ port: Port, _ key: String, _ trust: [ListenerSection.Trust], _ purpose: CertificatePurpose
    ) -> [ConfigurationMistake] {
        trust.files.flatMap { path in
            mistakes("\(port.key).\(key)", "file:" + path, "\(port.subject)\(key) \"file:\(path)\"") {
                _ = try ListenerSection.Trust.authorities(in: path, for: purpose)
            }
        }
    }

    private func revocationMistakes(_ port: Port) -> [ConfigurationMistake] {
        let authorities = port.trust.files.flatMap {
            (try? ListenerSection.Trust.authorities(in: $0, for: port.purpose)) ?? []
        }
        let lists = (port.revocation?.files ?? []).flatMap { path in
            mistakes("\(port.key).crl", "file:" + path, "\(port.subject)crl \"file:\(path)\"") {
                _ = try RevocationList.parse(contentsOf: path, issuers: authorities)
            }
        }
        return lists + denyListMistakes(port.key, port.subject, port.denyList)
    }

    private func denyListMistakes(_ section: String, _ subject: String, _ path: String?) -> [ConfigurationMistake] {
        guard let path else { return [] }
        return mistakes("\(section).deny-list", path, "\(subject)deny-list") { _ = try DenyList(path: path) }
    }

    private var ruleFileMistakes: [ConfigurationMistake] {
        listeners.flatMap { listener, port in
            mistakes("\(port.key).database-user-map", listener.databaseUserMap ?? "", "listener \(listener.name)") {
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

    private func mistakes(
        _ key: String, _ value: String, _ what: String, _ use: () throws -> Void
    ) -> [ConfigurationMistake] {
        do {
            try use()
            return []
        } catch {
            let lines = "\(error)".split(separator: "\n").map { "\(what): \($0)" }
            return places.mistakes(lines.joined(separator: "\n"), at: key, value)
        }
    }
}
