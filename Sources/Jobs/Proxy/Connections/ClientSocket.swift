import IO

/// An accepted client's socket, closed with the last reference; may change lanes.
final class ClientSocket: Sendable {
    let stream: StreamSocket
    let address: SocketAddress

    init(_ stream: consuming StreamSocket, _ address: SocketAddress) {
        stream.setNoDelay()
        stream.setKeepAlive()
        self.stream = stream
        self.address = address
    }
}

/// A connection to the database, closed with the last reference.
final class BackendSocket: Sendable {
    let stream: StreamSocket
    let address: SocketAddress

    init(_ stream: consuming StreamSocket, to address: SocketAddress) {
        self.address = address
        stream.setNoDelay()
        stream.setKeepAlive()
        self.stream = stream
    }
}

/// A bound port, closed with the last reference.
final class OpenPort: Sendable {
    let socket: ListeningSocket

    init(_ socket: consuming ListeningSocket) { self.socket = socket }

    var address: SocketAddress { socket.address }
}
