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
        var resumesSessions = false
        var handshakeTimeout = Duration.seconds(10)
        var connectTimeout = Duration.seconds(5)
        /// nil: never.
        var idleTimeout: Duration?
        var drain = Duration.seconds(30)
        /// The last part of `drain`.
        var drainSpread = Duration.seconds(5)
        /// A file; of every listener.
        var denyList: String?
    }

    var defaults = Defaults()
    var listeners: [ListenerSection] = []
    var tunnels: [TunnelSection] = []
    var limits = ProxyLimits()
    /// nil: one for each core.
    var dataLanes: Int?
    /// nil: one for every two cores.
    var handshakeLanes: Int?
    var algorithms = AlgorithmSelection.trimmed
    var exposure = ExposureMode.report

    static func read(_ section: Section, _ roles: CertificateRoles) -> ProxySection? {
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
        var taken = TakenPorts()
        proxy.listeners = section.sections("listeners") { section in
            guard let listener = ListenerSection.read(section, roles) else { return nil }
            taken.take(listener.listen, by: "listener", listener.name, section)
            return listener
        }
        proxy.tunnels = section.sections("tunnels") { section in
            guard let tunnel = TunnelSection.read(section, roles) else { return nil }
            taken.take(tunnel.listen, by: "tunnel", tunnel.name, section)
            return tunnel
        }
        return proxy
    }
}

/// Names and addresses that listeners and tunnels have; metrics, events and the service manager know them by these.
private struct TakenPorts {
    private var names: [String: String] = [:]
    private var addresses: [String: String] = [:]

    mutating func take(_ listen: [SocketAddress], by kind: String, _ name: String, _ section: Section) {
        if let other = names.updateValue(kind, forKey: name) {
            section.add("there is a \(other) '\(name)' already", at: section.place(of: "name"))
        }
        for address in listen where address.port != 0 {
            if let other = addresses.updateValue("\(kind) '\(name)'", forKey: address.description) {
                section.add("\(address) is taken by the \(other)", at: section.place(of: "listen"))
            }
        }
    }
}

extension ProxySection.Defaults {
    static let shortTimes = Duration.milliseconds(100)...Duration.seconds(600)
    static let longTimes = Duration.seconds(1)...Duration.seconds(30 * 86_400)

    fileprivate static func read(_ section: Section) -> ProxySection.Defaults? {
        var defaults = ProxySection.Defaults()
        if let value = section.value("minimum-tls", Form<ProxySection.MinimumTLS>.word("TLS version")) {
            defaults.minimumTLS = value
        }
        if let value = section.value("session-resumption", .flag) { defaults.resumesSessions = value }
        if let value = section.value("handshake-timeout", .duration(shortTimes)) { defaults.handshakeTimeout = value }
        if let value = section.value("connect-timeout", .duration(shortTimes)) { defaults.connectTimeout = value }
        if let value = section.value("idle-timeout", Form.duration(longTimes).orOff()) { defaults.idleTimeout = value }
        if let value = section.value("drain", .duration(.zero...Duration.seconds(3600))) { defaults.drain = value }
        defaults.drainSpread = min(defaults.drainSpread, defaults.drain)
        if let value = section.value("drain-spread", .duration(.zero...defaults.drain)) {
            defaults.drainSpread = value
        }
        defaults.denyList = section.value("deny-list", .path)
        return defaults
    }
}
