import IO
import Reports

/// What is done when a database can be reached from outside of the node without passing through the proxy.
package enum ExposureMode: String, Sendable, CaseIterable {
    case off, report
    /// Clients are refused as long as it lasts.
    case refuse
}

extension DatabaseProxy {
    private static let exposureInterval = Duration.seconds(10)

    /// Before a port is open, and from then on again and again.
    func watchExposure() {
        guard let exposureQueue else { return }
        let look: @Sendable () -> Void = { [weak self] in
            guard let self else { return }
            exposureQueue.submit { [weak self] in self?.lookAtExposure() }
        }
        handshakes.first?.submit { $0.floor.tick(every: Self.exposureInterval, look) }
    }

    /// Blocks for some milliseconds with tens of thousands of connections. `new`: ports of our own that are bound, but
    /// not open yet.
    func lookAtExposure(before new: [SocketAddress] = []) {
        guard configuration.exposure != .off else { return }
        let ports: ListeningPorts
        do {
            ports = try ListeningPorts.current()
        } catch {
            return health.raise(
                HealthReason(
                    "EXPOSURE_UNKNOWN", .warn, detail: "it cannot be seen who listens on this node: \(error)",
                    action: "let the service read /proc/self/net, or write proxy: exposure: off"))
        }
        health.clear("EXPOSURE_UNKNOWN")
        let own = listeners.flatMap(\.addresses) + new
        for listener in listeners where listener.configuration.tunnel == nil {
            let ways = listener.configuration.backend.flatMap { ports.ways(around: $0, own: own) }
            tell(listener, ways.map(\.description))
            tellOfOpenSockets(listener)
        }
    }

    private func tell(_ listener: ListenerState, _ ways: [String]) {
        let mustRefuse = configuration.exposure == .refuse
        guard listener.exposed(at: ways, mustRefuse: mustRefuse) else { return }
        house.reports.exposed(listener, ways)
        let subject = "listener \(listener.name)"
        if ways.isEmpty { return health.clear("BACKEND_EXPOSED", subject: subject) }
        health.raise(
            HealthReason(
                "BACKEND_EXPOSED", mustRefuse ? .error : .warn, subject: subject,
                detail: "the database also listens on \(ways.joined(separator: ", ")), where clients reach it without "
                    + "mutual TLS and without a rule" + (mustRefuse ? "; clients are refused here" : ""),
                action: "have it listen on 127.0.0.1 only (listen_addresses, rpc_bind_addresses, bind)"))
    }

    /// A unix socket cannot be reached from outside; who is on the node may.
    private func tellOfOpenSockets(_ listener: ListenerState) {
        let open = listener.configuration.backend.compactMap { backend -> String? in
            guard case .unix(let path) = backend, let mode = try? Files.mode(path) else { return nil }
            return mode & 0o002 == 0 ? nil : path
        }
        let subject = "listener \(listener.name)"
        if open.isEmpty { return health.clear("BACKEND_SOCKET_OPEN", subject: subject) }
        health.raise(
            HealthReason(
                "BACKEND_SOCKET_OPEN", .info, subject: subject,
                detail: "every user of this node may connect to \(open.joined(separator: ", "))",
                action: "narrow it (unix_socket_permissions, unix_socket_group), or leave it to the database's rules"))
    }
}
