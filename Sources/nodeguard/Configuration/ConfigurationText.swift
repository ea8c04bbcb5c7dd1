import Audit
import IO
import OpenSSL
import Proxy
import Reports

/// A configuration as YAML text, with every default written out; reading it gives the same configuration again.
struct ConfigurationText {
    /// What stands behind a key.
    indirect enum Shown {
        case text(String)
        case list([String])
        case section(Members)
        case items([Members])
    }
    typealias Members = [(key: String, value: Shown)]

    private var lines: [String] = []

    static func of(_ configuration: NodeConfiguration) -> String {
        var text = ConfigurationText()
        text.write(configuration.shown, indent: "")
        return text.lines.joined(separator: "\n") + "\n"
    }

    /// Every value by its path, `proxy.listeners.ysql.backend`; an item without a name goes by its place in the list.
    static func values(of configuration: NodeConfiguration) -> [String: String] {
        var values: [String: String] = [:]
        collect(configuration.shown, "", &values)
        return values
    }

    private static func collect(_ members: Members, _ path: String, _ values: inout [String: String]) {
        for (key, value) in members {
            let path = path.isEmpty ? key : path + "." + key
            switch value {
            case .text(let text): values[path] = scalar(text)
            case .list(let texts): values[path] = "[\(texts.map(scalar).joined(separator: ", "))]"
            case .section(let members): collect(members, path, &values)
            case .items(let items):
                for (index, item) in items.enumerated() {
                    var name = String(index)
                    if case .text(let text)? = item.first(where: { $0.key == "name" })?.value { name = text }
                    collect(item, path + "." + name, &values)
                }
            }
        }
    }

    private mutating func write(_ members: Members, indent: String, first: String? = nil) {
        var lead = first ?? indent
        for (key, value) in members {
            switch value {
            case .text(let text): lines.append("\(lead)\(key): \(Self.scalar(text))")
            case .list(let texts): lines.append("\(lead)\(key): [\(texts.map(Self.scalar).joined(separator: ", "))]")
            case .section(let members):
                lines.append("\(lead)\(key):")
                write(members, indent: indent + "  ")
            case .items(let items):
                lines.append("\(lead)\(key):" + (items.isEmpty ? " []" : ""))
                for item in items { write(item, indent: indent + "    ", first: indent + "  - ") }
            }
            lead = indent
        }
    }

    /// Plain where nothing could be taken for YAML, else in double quotes (YAML 1.1 contains JSON's strings).
    static func scalar(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return isPlain && !text.isEmpty && !text.hasPrefix("-") && !text.hasPrefix(".")
            ? text : JSONValue.string(text).text
    }
}

extension NodeConfiguration {
    fileprivate var shown: ConfigurationText.Members {
        var members: ConfigurationText.Members = [("node", .section(node.shown))]
        if let management { members.append(("management", .section(management.shown))) }
        return members + [
            ("certificates", .section(certificates.shown)), ("proxy", .section(proxy.shown)),
            (
                "backups",
                .section([
                    ("memory", .text(Quantity.text(bytes: backups.memory))),
                    ("targets", .items(backups.targets.map(\.shown))),
                ])
            ), ("audit", .section(audit.shown)),
            ("status", .section(status.shown)),
            (
                "log",
                .section([
                    ("level", .text(log.level.rawValue)), ("destination", .text(log.destination.rawValue)),
                ])
            ),
        ]
    }
}

extension AuditSection {
    fileprivate var shown: ConfigurationText.Members {
        let witness: ConfigurationText.Members = witness.map { [("witness", .text($0))] } ?? []
        return [
            (
                "spool",
                .section([
                    ("limit", .text(Quantity.text(bytes: spoolLimit))), ("when-full", .section(whenFull.shown)),
                ])
            )
        ] + witness
    }
}

extension FullPolicies {
    fileprivate var shown: ConfigurationText.Members {
        [
            ("security", .text("never-drop")), ("connection", .text(connection.rawValue)),
            ("backup", .text(backup.rawValue)), ("agent", .text(agent.rawValue)),
        ]
    }
}

extension NodeSection {
    fileprivate var shown: ConfigurationText.Members {
        let cluster: ConfigurationText.Members = cluster.map { [("cluster", .text($0))] } ?? []
        return [("name", .text(name))] + cluster + [("state", .text(state))]
    }
}

extension ManagementSection {
    fileprivate var shown: ConfigurationText.Members {
        let label: ConfigurationText.Members = est.label.map { [("label", .text($0))] } ?? []
        let user: ConfigurationText.Members = est.user.isEmpty ? [] : [("user", .text(est.user))]
        return [
            ("url", .text(url)), ("join", .text(join)), ("desired", .text(isDirected ? "on" : "off")),
            ("est", .section([("url", .text(est.url))] + label + user)),
        ]
    }
}

extension CertificatesSection {
    fileprivate var shown: ConfigurationText.Members {
        [
            ("key", .section(key.shown)),
            ("roles", .items(roles.map(\.shown))),
        ]
    }
}

extension RoleSection {
    fileprivate var shown: ConfigurationText.Members {
        let published: ConfigurationText.Members = publication.map { [("publish", .section($0.shown))] } ?? []
        switch source {
        case .files(let chain, let key):
            return [
                ("name", .text(name)), ("files", .section([("chain", .text(chain)), ("key", .text(key))])),
            ] + published
        case .enrolled(let names, let addresses, let uris, let usage):
            let hosts = addresses.compactMap(SocketAddress.host)
            return [
                ("name", .text(name)), ("names", .list(names)), ("addresses", .list(hosts)), ("uris", .list(uris)),
                ("usage", .list(usage.map(\.rawValue))), ("key", .section((key ?? KeySection()).shown)),
            ] + published
        }
    }
}

extension ProxySection {
    fileprivate var shown: ConfigurationText.Members {
        [
            (
                "defaults",
                .section(
                    [
                        ("minimum-tls", .text(defaults.minimumTLS.rawValue)),
                        ("session-resumption", .text(defaults.resumesSessions ? "yes" : "no")),
                        ("handshake-timeout", .text(Quantity.text(defaults.handshakeTimeout))),
                        ("connect-timeout", .text(Quantity.text(defaults.connectTimeout))),
                        ("idle-timeout", .text(defaults.idleTimeout.map(Quantity.text) ?? "off")),
                        ("drain", .text(Quantity.text(defaults.drain))),
                        ("drain-spread", .text(Quantity.text(defaults.drainSpread))),
                    ] + (defaults.denyList.map { [("deny-list", .text($0))] } ?? []))
            ),
            (
                "lanes",
                .section([
                    ("data", .text(dataLanes.map { String($0) } ?? "auto")),
                    ("handshake", .text(handshakeLanes.map { String($0) } ?? "auto")),
                ])
            ),
            ("algorithms", .text(algorithms.rawValue)), ("exposure", .text(exposure.rawValue)),
            ("listeners", .items(listeners.map(\.shown))), ("tunnels", .items(tunnels.map(\.shown))),
            ("limits", .section(limits.shown)),
        ]
    }
}

extension ListenerSection {
    fileprivate var shown: ConfigurationText.Members {
        let acknowledged: ConfigurationText.Members =
            acknowledgesLocalTrust ? [("acknowledge-local-trust", .text("yes"))] : []
        let denied: ConfigurationText.Members = denyList.map { [("deny-list", .text($0))] } ?? []
        let map: ConfigurationText.Members = databaseUserMap.map { [("database-user-map", .text($0))] } ?? []
        let resumption: ConfigurationText.Members =
            resumesSessions.map { [("session-resumption", .text($0 ? "yes" : "no"))] } ?? []
        return [
            ("name", .text(name)), ("listen", .list(listen.map(\.description))),
            ("protocol", .text(databaseProtocol.rawValue)), ("backend", .text(backend)),
        ] + backendTLS.shown + [("backend-source", .text(source.rawValue))] + proxyProtocol.shown
            + [("application-name", .text(applicationName.rawValue))] + (health?.shown ?? []) + acknowledged
            + certificates.shown + [
                ("trust", .list(trust.map(\.description)))
            ] + (revocation?.shown ?? []) + denied + [
                ("allow", .items(allow.map(\.shown))), ("deny", .items(deny.map(\.shown))),
            ] + map + [
                ("mode", .text(mode.rawValue)),
                ("explain-certificate-refusals", .text(explainsCertificateRefusals ? "yes" : "no")),
            ] + resumption + limits.shown
    }
}

extension RuleSection {
    fileprivate var shown: ConfigurationText.Members { terms.shown }
}

extension RuleTerms {
    var shown: ConfigurationText.Members {
        let values: ConfigurationText.Members = keys.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { ($0.key.rawValue, .list($0.value)) }
        let groups: ConfigurationText.Members = [("all", all), ("any", any)]
            .compactMap { name, group in group.map { (name, .items($0.map(\.shown))) } }
        return values + groups + (replication.map { [("replication", .text($0.rawValue))] } ?? [])
    }
}

extension StatusSection {
    fileprivate var shown: ConfigurationText.Members {
        let group: ConfigurationText.Members = group.map { [("group", .text($0))] } ?? []
        let octal = String(mode, radix: 8)
        return [
            ("socket", .text(socket)), ("control", .text(control)), ("stream", .text(stream)),
            ("mode", .text(String(repeating: "0", count: max(0, 4 - octal.count)) + octal)),
        ] + group
    }
}
