import IO
import Synchronization

/// An accepted client's socket, closed with the last reference; may change lanes.
final class ClientSocket: Sendable {
    private final class Announcement: Sendable {
        let client: SocketAddress
        let server: SocketAddress

        init(_ client: SocketAddress, _ server: SocketAddress) {
            self.client = client
            self.server = server
        }
    }

    let stream: StreamSocket
    /// The other end of the socket.
    private let accepted: SocketAddress
    private let announcement = Mutex<Announcement?>(nil)

    init(_ stream: consuming StreamSocket, _ address: SocketAddress) {
        self.stream = stream
        accepted = address
    }

    /// Where the client is: at the other end of the socket, unless a listed proxy has said otherwise.
    var address: SocketAddress { announcement.withLock { $0?.client } ?? accepted }

    /// The listed proxy that has said so.
    var carrier: SocketAddress? { announcement.withLock { $0 == nil ? nil : accepted } }

    /// What the client has connected to.
    var destination: SocketAddress {
        announcement.withLock { $0?.server } ?? stream.localAddress() ?? .unix(path: "")
    }

    func announce(_ client: SocketAddress, at server: SocketAddress) {
        announcement.withLock { $0 = Announcement(client, server) }
    }
}

/// A connection to the database, closed with the last reference.
final class BackendSocket: Sendable {
    let stream: StreamSocket
    let address: SocketAddress

    init(_ stream: consuming StreamSocket, to address: SocketAddress) {
        self.address = address
        stream.prepare(for: address)
        self.stream = stream
    }
}

/// A bound port, closed with the last reference.
final class OpenPort: Sendable {
    let socket: ListeningSocket

    init(_ socket: consuming ListeningSocket) {
        socket.prepareConnections()
        self.socket = socket
    }

    var address: SocketAddress { socket.address }
}
