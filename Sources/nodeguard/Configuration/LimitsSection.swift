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
        ] + ban
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
