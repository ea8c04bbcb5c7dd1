import FoundationEssentials
import IO
import Synchronization

/// What a client's connection brings, in order; after `gone` nothing comes.
enum ClientEvent: Sendable {
    case request(StreamRequest, PassedDescriptor?)
    case notice(StreamNotice)
    case gone
}

/// One client of the stream socket. Its messages are received on a queue of their own, so that a client that vanishes
/// is noticed while its stream is being moved.
final class ClientConnection: Sendable {
    static let messageLimit = 64 << 10

    let peer: PeerCredentials?
    let events: AsyncStream<ClientEvent>
    private let socket: SeqPacketSocket
    private let continuation: AsyncStream<ClientEvent>.Continuation
    /// Rung when the client is gone: whatever its stream waits for will not come.
    private let interruption: Interruption
    private let state = Mutex(State())

    private struct State {
        var isGone = false
        var hasAsked = false
        var watch: StreamWatch?
    }

    init(_ socket: consuming SeqPacketSocket, _ interruption: Interruption) {
        self.interruption = interruption
        peer = try? socket.peerCredentials()
        self.socket = socket
        // A client says at most two things, and then is gone; one that says more loses the rest.
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(4))
    }

    /// Blocks until the client is gone.
    func receiveAll() {
        var isFirst = true
        while let event = receive(isFirst: isFirst) {
            state.withLock { $0.hasAsked = true }
            continuation.yield(event)
            isFirst = false
        }
        let watch = state.withLock { state in
            state.isGone = true
            return state.watch
        }
        watch?.cancel(Self.vanished)
        interruption.ring()
        continuation.yield(.gone)
        continuation.finish()
    }

    private func receive(isFirst: Bool) -> ClientEvent? {
        guard var message = try? socket.receive(limit: Self.messageLimit), !message.bytes.isEmpty else { return nil }
        let data = Data(message.bytes)
        do {
            if isFirst {
                let request = try JSONDecoder().decode(StreamRequest.self, from: data)
                guard let descriptor = message.takeDescriptor() else { return .request(request, nil) }
                return .request(request, PassedDescriptor(descriptor, until: interruption))
            }
            return .notice(try JSONDecoder().decode(StreamNotice.self, from: data))
        } catch {
            refuse("this is no message of the stream protocol")
            return nil
        }
    }

    var hasAsked: Bool { state.withLock { $0.hasAsked } }

    /// `watch` is cancelled when the client vanishes, at once if it has.
    func attach(_ watch: StreamWatch) {
        let isGone = state.withLock { state in
            state.watch = watch
            return state.isGone
        }
        if isGone { watch.cancel(Self.vanished) }
    }

    /// A client that is gone is noticed where it is listened to.
    func send(_ reply: StreamReply) {
        guard let bytes = try? JSONDocument.encode(reply), bytes.count <= Self.messageLimit else { return }
        try? socket.send(bytes)
    }

    /// The last word to a client that is not served, or no longer.
    func refuse(_ reason: String) {
        send(.failed(kind: BackupError.Kind.refused.rawValue, reason: reason))
        close()
    }

    /// Ends the listening too.
    func close() { socket.shutdown() }

    private static let vanished = BackupError(.producer, "the client vanished before its stream was over")
}
