import IO
import OpenSSL
import Reports

/// A client that may pass, on its way to a data lane with all that its relay needs.
final class AuthorizedConnection: Sendable {
    enum Admitted: Sendable {
        /// Verified and allowed.
        case peer(AuthorizedPeer, TLSFacts)
        /// At a tunnel's port; it is the remote end that is verified, before a byte goes there.
        case local(LocalCaller)
    }

    let id: UInt64
    let listener: ListenerState
    let socket: ClientSocket
    /// nil: the client speaks in clear, as a tunnel's does.
    let session: TravellingSession?
    let admitted: Admitted
    /// Of the standing under which it was let in.
    let generation: UInt64
    /// Those of the standing under which its chain was verified.
    let authorities: UInt64
    /// Of the generation that the client was shown; nil: the database is reached in clear.
    let backendSecurity: BackendSecurity?
    let startup: StartupMessage?
    /// What the client has said inside TLS, for the backend: its StartupMessage and whatever came with it.
    let early: [UInt8]
    /// TLS records that the socket did not take yet.
    let unsent: [UInt8]
    /// The client has ended its side already.
    let clientHasEnded: Bool
    let since = Timestamp.now

    init(
        id: UInt64, listener: ListenerState, socket: ClientSocket, session: TravellingSession?, admitted: Admitted,
        generation: UInt64, authorities: UInt64, backendSecurity: BackendSecurity?, startup: StartupMessage?,
        early: [UInt8], unsent: [UInt8], clientHasEnded: Bool
    ) {
        self.id = id
        self.listener = listener
        self.socket = socket
        self.session = session
        self.admitted = admitted
        self.generation = generation
        self.authorities = authorities
        self.backendSecurity = backendSecurity
        self.startup = startup
        self.early = early
        self.unsent = unsent
        self.clientHasEnded = clientHasEnded
    }

    /// nil at a tunnel.
    var peer: AuthorizedPeer? { if case .peer(let peer, _) = admitted { peer } else { nil } }
    /// The client's; nil at a tunnel.
    var facts: TLSFacts? { if case .peer(_, let facts) = admitted { facts } else { nil } }
    var caller: LocalCaller? { if case .local(let caller) = admitted { caller } else { nil } }
    var isOfTunnel: Bool { caller != nil }
}

/// One live connection as operators see it. The peer of a tunnel's is its remote end.
package struct ConnectionSummary: Sendable, Equatable {
    package let id: UInt64
    /// The name of a listener or a tunnel.
    package let listener: String
    package let peerAddress: String
    /// The proxy that has announced the peer; nil: the peer has connected itself.
    package let carrierAddress: String?
    package let peerSubject: String
    package let peerSerial: String
    /// Of the StartupMessage; nil for other protocols.
    package let user: String?
    package let database: String?
    package let since: Timestamp
    package let bytesReceived: UInt64
    package let bytesSent: UInt64
    /// Where a tunnel's connection leads to.
    package let remoteAddress: String?

    package init(
        id: UInt64, listener: String, peerAddress: String, carrierAddress: String? = nil, peerSubject: String,
        peerSerial: String, user: String?, database: String?, since: Timestamp, bytesReceived: UInt64,
        bytesSent: UInt64, remoteAddress: String? = nil
    ) {
        self.id = id
        self.listener = listener
        self.peerAddress = peerAddress
        self.carrierAddress = carrierAddress
        self.peerSubject = peerSubject
        self.peerSerial = peerSerial
        self.user = user
        self.database = database
        self.since = since
        self.bytesReceived = bytesReceived
        self.bytesSent = bytesSent
        self.remoteAddress = remoteAddress
    }
}
