import IO
import Reports

/// Proof that a client came to a tunnel's own port, which nothing but its configuration opens; the relay takes it in
/// place of an `AuthorizedPeer`, and only together with a remote end that is verified.
struct LocalCaller: Sendable {
    /// Of a unix socket: who it was that connected.
    let credentials: PeerCredentials?

    /// nil: not a tunnel's.
    init?(_ socket: ClientSocket, at listener: ListenerState) {
        guard listener.configuration.tunnel != nil else { return nil }
        if case .unix = socket.address { credentials = try? socket.stream.peerCredentials() } else { credentials = nil }
    }
}

extension LocalCaller {
    /// Of its events.
    var fields: AuditFields {
        guard let credentials else { return [:] }
        return [
            "caller.uid": .count(credentials.user), "caller.gid": .count(credentials.group),
            "caller.pid": .count(credentials.process),
        ]
    }
}
