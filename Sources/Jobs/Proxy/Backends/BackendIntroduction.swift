import IO

/// How a database learns for whom a connection is made.
struct BackendIntroduction: Sendable {
    /// Of the PROXY protocol, sent before anything else; empty: there is none.
    private(set) var header: [UInt8] = []
    /// The client's own address, from which the connection comes; nil: it comes from this node's.
    private(set) var source: SocketAddress?

    /// `connection`: as the audit log has it.
    init(of client: ClientSocket, _ facts: TLSFacts?, connection: UInt64, at listener: ListenerConfiguration) {
        if listener.sendsProxyHeader { header = ProxyHeader(of: client, facts, connection: connection).bytes }
        if listener.isTransparent { source = client.address }
    }

    /// The proxy's own business, such as a probe.
    init(ofNobodyAt listener: ListenerConfiguration) {
        if listener.sendsProxyHeader { header = ProxyHeader(origin: .local).bytes }
    }
}
