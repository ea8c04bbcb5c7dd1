import IO
import OpenSSL

/// What makes a listener a tunnel: its clients are this node's own and speak in clear, and what it reaches is a server
/// elsewhere, by mutual TLS.
package struct TunnelSettings: Sendable, Equatable {
    /// `host:port`; a name is looked up anew for new connections.
    package var remote: String
    /// What must stand in the remote certificate; a host name is also sent (SNI).
    package var name: String
    /// PostgreSQL only: TLS from the first byte, instead of by SSLRequest.
    package var isDirect = false
    /// Of a unix socket's file.
    package var socketMode: UInt32 = 0o600
    /// Of its file; nil: that of the process.
    package var socketGroup: String?
    /// A port that other machines reach would carry their bytes in clear, and lend them this node's certificate: it is
    /// refused without this.
    package var acknowledgesPlaintext = false

    package init(to remote: String, name: String) {
        self.remote = remote
        self.name = name
    }
}

extension TunnelSettings {
    func giveToGroup(_ address: SocketAddress) throws(IOError) {
        guard case .unix(let path) = address, let socketGroup else { return }
        try Files.setGroup(of: path, to: socketGroup)
    }

    /// Of a socket that was kept over a restart, in which the group may have changed.
    func renewGroup(_ address: SocketAddress) throws(IOError) {
        guard case .unix(let path) = address, Files.isOwnOfOtherGroup(path, than: socketGroup) else { return }
        try Files.setGroup(of: path, to: socketGroup)
    }

    /// Whoever made the file may have given it the right permissions, and kept it for himself.
    func isOtherMode(of address: SocketAddress) -> Bool {
        guard case .unix(let path) = address, let mode = try? Files.mode(path) else { return false }
        return mode & 0o777 != socketMode
    }
}

extension ListenerConfiguration {
    /// A tunnel. `anchors`, and the cluster's where they count, certify its remote end.
    package init(
        tunnel: TunnelSettings, name: String, listen: [SocketAddress], databaseProtocol: DatabaseProtocol,
        certificateRole: String, trustsCluster: Bool = true, anchors: [Certificate] = [],
        minimumTLS: TLSVersion = .tls12, timeouts: ProxyTimeouts = ProxyTimeouts()
    ) {
        self.init(
            name: name, listen: listen, databaseProtocol: databaseProtocol,
            backend: SocketAddress(tunnel.remote).map { [$0] } ?? [], certificateRole: certificateRole,
            trustsCluster: trustsCluster, anchors: anchors, minimumTLS: minimumTLS, timeouts: timeouts)
        self.tunnel = tunnel
        backendTLS = BackendTLS(
            .verify, name: tunnel.name, trust: ListenerTrust(trustsCluster: trustsCluster, anchors: anchors))
    }

    /// As events and reasons call it.
    var subject: String { (tunnel == nil ? "listener " : "tunnel ") + name }

    /// What is wrong with it as a tunnel.
    func mistakes(of tunnel: TunnelSettings) -> [String] {
        var found: [String] = []
        if listen.isEmpty { found.append("\(subject) has no address to listen on") }
        if !trustsCluster, anchors.isEmpty { found.append("\(subject) trusts nobody to certify its remote end") }
        if tunnel.name.isEmpty { found.append("\(subject) has no name to verify in the remote certificate") }
        if case .unix? = SocketAddress(tunnel.remote) {
            found.append("\(subject) leads to a unix socket: what it reaches is another machine")
        }
        if tunnel.isDirect, databaseProtocol != .postgres {
            found.append("\(subject): only protocol postgres has another way to begin TLS than directly")
        }
        let open = listen.filter { !$0.isLoopback }
        if !open.isEmpty, !tunnel.acknowledgesPlaintext {
            found.append(
                "\(subject) listens on \(open.map(\.description).joined(separator: ", ")), where other machines would "
                    + "use this node's certificate, in clear; use 127.0.0.1 or a unix socket, or acknowledge it")
        }
        return found
    }
}
