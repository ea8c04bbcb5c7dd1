import IO
import OpenSSL

/// A connection to the database that is ready for its client's bytes, on the lane that has opened it.
final class BackendLink {
    let socket: BackendSocket
    /// Attached to the lane's transport, its handshake over and its peer accepted; nil: in clear.
    let session: TLSSession?
    /// TLS records that the socket did not take yet.
    let unsent: Leftovers
    /// What the database has said inside TLS in one breath with its handshake.
    let early: [UInt8]

    init(_ socket: BackendSocket, _ session: TLSSession? = nil, unsent: Leftovers = Leftovers(), early: [UInt8] = []) {
        self.socket = socket
        self.session = session
        self.unsent = unsent
        self.early = early
    }
}
