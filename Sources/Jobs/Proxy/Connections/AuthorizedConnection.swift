import IO
import OpenSSL
import Reports

/// A client that is verified and allowed, on its way to a data lane with all that its relay needs.
final class AuthorizedConnection: Sendable {
    let id: UInt64
    let listener: ListenerState
    let socket: ClientSocket
    let session: TravellingSession
    let peer: AuthorizedPeer
    let facts: TLSFacts
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
        id: UInt64, listener: ListenerState, socket: ClientSocket, session: TravellingSession, peer: AuthorizedPeer,
        facts: TLSFacts, generation: UInt64, authorities: UInt64, backendSecurity: BackendSecurity?,
        startup: StartupMessage?, early: [UInt8], unsent: [UInt8], clientHasEnded: Bool
    ) {
        self.id = id
        self.listener = listener
        self.socket = socket
        self.session = session
        self.peer = peer
        self.facts = facts
        self.generation = generation
        self.authorities = authorities
        self.backendSecurity = backendSecurity
        self.startup = startup
        self.early = early
        self.unsent = unsent
        self.clientHasEnded = clientHasEnded
    }
}

/// One live connection as operators see it.
package struct ConnectionSummary: Sendable, Equatable {
    package let id: UInt64
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

    package init(
        id: UInt64, listener: String, peerAddress: String, carrierAddress: String? = nil, peerSubject: String,
        peerSerial: String, user: String?, database: String?, since: Timestamp, bytesReceived: UInt64,
        bytesSent: UInt64
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
    }
}
