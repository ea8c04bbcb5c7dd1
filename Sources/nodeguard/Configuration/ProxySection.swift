import IO
import OpenSSL
import Proxy

/// `proxy:`: the ports, what holds for all of them, and the limits.
struct ProxySection: Sendable, Equatable {
    enum MinimumTLS: String, Sendable, CaseIterable {
        case v12 = "1.2"
        case v13 = "1.3"
    }

    struct Defaults: Sendable, Equatable {
        var minimumTLS = MinimumTLS.v12
        var handshakeTimeout = Duration.seconds(10)
        var connectTimeout = Duration.seconds(5)
        /// nil: never.
        var idleTimeout: Duration?
        var drain = Duration.seconds(30)
        /// A file; of every listener.
        var denyList: String?
    }

    var defaults = Defaults()
    var listeners: [ListenerSection] = []
    var limits = ProxyLimits()
    /// nil: one for each core.
    var dataLanes: Int?
    /// nil: one for every two cores.
    var handshakeLanes: Int?
    var algorithms = AlgorithmSelection.trimmed
    var exposure = ExposureMode.report

    static func read(_ section: Section, _ roles: CertificateRoles) -> ProxySection? {
        section.refuse("tunnels")
        var proxy = ProxySection()
        proxy.defaults = section.section("defaults", Defaults.read) ?? Defaults()
        proxy.limits = section.section("limits", ProxyLimits.read) ?? ProxyLimits()
        let lanes = section.section("lanes") { section in
            (
                data: section.value("data", Form.count(1...256).orAuto()),
                handshake: section.value("handshake", Form.count(1...64).orAuto())
            )
        }
        proxy.dataLanes = lanes?.data ?? nil
        proxy.handshakeLanes = lanes?.handshake ?? nil
        if let value = section.value("algorithms", Form<AlgorithmSelection>.word("selection of algorithms")) {
            proxy.algorithms = value
        }
        if let value = section.value("exposure", Form<ExposureMode>.word("treatment of exposed backends")) {
            proxy.exposure = value
        }
        var names: Set<String> = []
        var addresses: [String: String] = [:]
        proxy.listeners = section.sections("listeners") { section in
            guard let listener = ListenerSection.read(section, roles) else { return nil }
            if !names.insert(listener.name).inserted {
                section.add("there is a listener '\(listener.name)' already", at: section.place(of: "name"))
            }
            for address in listener.listen where address.port != 0 {
                if let other = addresses.updateValue(listener.name, forKey: address.description) {
                    section.add("\(address) is taken by the listener '\(other)'", at: section.place(of: "listen"))
                }
            }
            return listener
        }
        return proxy
    }
}

extension ProxySection.Defaults {
    fileprivate static func read(_ section: Section) -> ProxySection.Defaults? {
        var defaults = ProxySection.Defaults()
        let short = Duration.milliseconds(100)...Duration.seconds(600)
        if let value = section.value("minimum-tls", Form<ProxySection.MinimumTLS>.word("TLS version")) {
            defaults.minimumTLS = value
        }
        if let value = section.value("handshake-timeout", .duration(short)) { defaults.handshakeTimeout = value }
        if let value = section.value("connect-timeout", .duration(short)) { defaults.connectTimeout = value }
        let long = Duration.seconds(1)...Duration.seconds(30 * 86_400)
        if let value = section.value("idle-timeout", Form.duration(long).orOff()) { defaults.idleTimeout = value }
        if let value = section.value("drain", .duration(.zero...Duration.seconds(3600))) { defaults.drain = value }
        defaults.denyList = section.value("deny-list", .path)
        return defaults
    }
}

extension ProxyLimits {
    private static let connectionLimit = 1_000_000

    static func read(_ section: Section) -> ProxyLimits? {
        var limits = ProxyLimits()
        let counts = 1...connectionLimit
        if let value = section.value("connections", .count(counts)) { limits.connections = value }
        if let value = section.value("unauthenticated", .count(counts)) { limits.unauthenticated = value }
        if let value = section.value("handshakes-per-second", .count(counts)) { limits.handshakesPerSecond = value }
        let perAddress = section.section("per-address") { section in
            var limits = ProxyLimits().perAddress
            if let value = section.value("connections", Form.count(counts).orOff()) { limits.connections = value }
            if let value = section.value("unauthenticated", Form.count(counts).orOff()) {
                limits.unauthenticated = value
            }
            if let value = section.value("rate", Form.rate(counts).orOff()) { limits.rate = value }
            return limits
        }
        if let perAddress { limits.perAddress = perAddress }
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
}
