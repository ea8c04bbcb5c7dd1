import Proxy

/// `proxy: limits:`.
extension ProxyLimits {
    private static let counts = 1...1_000_000

    static func read(_ section: Section) -> ProxyLimits? {
        var limits = ProxyLimits()
        if let value = section.value("connections", .count(counts)) { limits.connections = value }
        if let value = section.value("unauthenticated", .count(counts)) { limits.unauthenticated = value }
        if let value = section.value("handshakes-per-second", .count(counts)) { limits.handshakesPerSecond = value }
        limits.perAddress = perKey("per-address", section, limits.perAddress)
        limits.perPrefix = perKey("per-prefix", section, limits.perPrefix)
        let perIdentity = section.section("per-identity") { section in
            PerKey(
                connections: section.value("connections", Form.count(counts).orOff()) ?? nil,
                rate: section.value("rate", Form.rate(counts).orOff()) ?? nil)
        }
        if let perIdentity { limits.perIdentity = perIdentity }
        let sizes = 64 << 20...1 << 40
        if let value = section.value("memory", Form.size(sizes).orOff()) { limits.memory = value }
        if let reserved = section.section("reserved", Reserved.read) { limits.reserved = reserved }
        limits.ban = section.section("ban") { section in
            let span = Duration.seconds(1)...Duration.seconds(86_400)
            let failures = section.value("failures", .count(1...10_000), isRequired: true)
            let within = section.value("within", .duration(span), isRequired: true)
            let duration = section.value("for", .duration(span), isRequired: true)
            guard let failures, let within, let duration else { return nil }
            return Ban(failures: failures, within: within, duration: duration)
        }
        return limits
    }

    private static func perKey(_ key: String, _ section: Section, _ defaults: PerKey) -> PerKey {
        let read = section.section(key) { section in
            var limits = defaults
            if let value = section.value("connections", Form.count(counts).orOff()) { limits.connections = value }
            if let value = section.value("unauthenticated", Form.count(counts).orOff()) {
                limits.unauthenticated = value
            }
            if let value = section.value("rate", Form.rate(counts).orOff()) { limits.rate = value }
            return limits
        }
        return read ?? defaults
    }
}

extension ProxyLimits.Reserved {
    private static let defaults = (unauthenticated: 16, connections: 8)
    private static let counts = 1...10_000

    /// Places that nobody could take, and people without places, are mistakes.
    fileprivate static func read(_ section: Section) -> ProxyLimits.Reserved? {
        let networks = (section.list("networks", .network) ?? []).map(\.value)
        let unauthenticated = section.located("unauthenticated", .count(counts))
        let identities = section.sections("identities") { RuleSection.read($0, nil) }
        let connections = section.located("connections", .count(counts))
        if let unauthenticated, networks.isEmpty, !section.has("networks") {
            section.add("nobody could take these places: name 'networks' beside them", at: unauthenticated.position)
        }
        if let connections, identities.isEmpty, !section.has("identities") {
            section.add("nobody could take these places: name 'identities' beside them", at: connections.position)
        }
        return ProxyLimits.Reserved(
            networks: networks,
            unauthenticated: networks.isEmpty ? 0 : unauthenticated?.value ?? defaults.unauthenticated,
            identities: identities.map(\.rule),
            connections: identities.isEmpty ? 0 : connections?.value ?? defaults.connections)
    }

    fileprivate var shown: ConfigurationText.Members {
        var members: ConfigurationText.Members = []
        if !networks.isEmpty {
            members += [
                ("networks", .list(networks.map(\.description))), ("unauthenticated", .text(String(unauthenticated))),
            ]
        }
        if !identities.isEmpty {
            members += [
                ("identities", .items(identities.map(\.terms.shown))),
                ("connections", .text(String(connections))),
            ]
        }
        return members.isEmpty ? [] : [("reserved", .section(members))]
    }
}

extension ProxyLimits.PerListener {
    /// `limits:` of a listener.
    static func read(_ section: Section) -> ProxyLimits.PerListener? {
        let counts = 1...1_000_000
        return ProxyLimits.PerListener(
            connections: section.value("connections", Form.count(counts).orOff()) ?? nil,
            unauthenticated: section.value("unauthenticated", Form.count(counts).orOff()) ?? nil)
    }

    /// Nothing where nothing is limited.
    var shown: ConfigurationText.Members {
        if self == ProxyLimits.PerListener() { return [] }
        return [
            (
                "limits",
                .section([
                    ("connections", .text(connections.map { String($0) } ?? "off")),
                    ("unauthenticated", .text(unauthenticated.map { String($0) } ?? "off")),
                ])
            )
        ]
    }
}

extension Form where Value == PeerNetwork {
    static var network: Form {
        Form { text throws(Flaw) in
            guard let network = PeerNetwork(text) else {
                throw Flaw(
                    "'\(text)' is no network: write an address, or a network with nothing behind its length, such as "
                        + "10.0.0.0/24 or \"2001:db8::/48\"")
            }
            return network
        }
    }
}

extension ProxyLimits {
    var shown: ConfigurationText.Members {
        let ban: ConfigurationText.Members =
            ban.map { ban in
                [
                    (
                        "ban",
                        .section([
                            ("failures", .text(String(ban.failures))), ("within", .text(Quantity.text(ban.within))),
                            ("for", .text(Quantity.text(ban.duration))),
                        ])
                    )
                ]
            } ?? []
        return [
            ("connections", .text(String(connections))), ("unauthenticated", .text(String(unauthenticated))),
            ("handshakes-per-second", .text(String(handshakesPerSecond))),
            ("per-address", .section(perAddress.shown)), ("per-prefix", .section(perPrefix.shown)),
            (
                "per-identity",
                .section([
                    ("connections", .text(perIdentity.connections.map { String($0) } ?? "off")),
                    ("rate", .text(perIdentity.rate.map { "\($0)/s" } ?? "off")),
                ])
            ),
            ("memory", .text(memory.map { Quantity.text(bytes: $0) } ?? "off")),
        ] + reserved.shown + ban
    }
}

extension ProxyLimits.PerKey {
    fileprivate var shown: ConfigurationText.Members {
        [
            ("connections", .text(connections.map { String($0) } ?? "off")),
            ("unauthenticated", .text(unauthenticated.map { String($0) } ?? "off")),
            ("rate", .text(rate.map { "\($0)/s" } ?? "off")),
        ]
    }
}
