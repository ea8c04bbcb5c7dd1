import IO
import Synchronization

/// The cancel keys of all live sessions: what a CancelRequest must match to be forwarded. One for the proxy; bounded
/// by the limit of connections.
final class CancelRegistry: Sendable {
    private struct Place: Hashable {
        let listener: String
        let key: CancelKey
    }

    private struct Session {
        let id: UInt64
        /// nil: a tunnel's client, who has no certificate.
        let peer: PeerAttributes?
        let host: String?
        let backend: SocketAddress
    }

    /// What a CancelRequest is meant for: the session, and the database that has it.
    struct Target: Equatable {
        let session: UInt64
        let backend: SocketAddress
    }

    enum Asker {
        case clear(SocketAddress)
        case overTLS(PeerAttributes)
        /// At a tunnel's port.
        case local
    }

    private let sessions = Mutex<[Place: Session]>([:])

    func learn(_ key: CancelKey, of connection: AuthorizedConnection, at backend: SocketAddress) {
        let session = Session(
            id: connection.id, peer: connection.peer?.attributes, host: connection.socket.address.host,
            backend: backend)
        let place = Place(listener: connection.listener.name, key: key)
        sessions.withLock { $0[place] = session }
    }

    /// Its session is over; a successor that got the same key from the database keeps its own.
    func forget(_ key: CancelKey, of connection: AuthorizedConnection) {
        let place = Place(listener: connection.listener.name, key: key)
        sessions.withLock { if $0[place]?.id == connection.id { $0[place] = nil } }
    }

    /// The session that it may cancel: over TLS one of the same identity, in clear one of the same address; any of its
    /// own tunnel.
    func match(_ request: CancelRequest, listener: String, from asker: Asker) -> Target? {
        guard let session = sessions.withLock({ $0[Place(listener: listener, key: request.key)] }) else { return nil }
        let isItsOwn =
            switch asker {
            case .overTLS(let peer): session.peer.map(peer.isSameIdentity) == true
            case .clear(let address): session.host != nil && address.host == session.host
            case .local: session.peer == nil
            }
        return isItsOwn ? Target(session: session.id, backend: session.backend) : nil
    }

    var count: Int { sessions.withLock { $0.count } }
}
