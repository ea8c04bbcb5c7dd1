import IO
import Synchronization

/// Accepts clients of the stream socket, and serves a few of them at once, each on queues of its own. A client beyond
/// the limit, and one that asks for nothing, is told so and let go.
actor StreamServer: LaneResident {
    /// The queues of one stream: where its client is listened to, and where its bytes are moved. Both block for as long
    /// as the other side pleases.
    private struct Slot {
        let listening: SerialQueue
        let moving: SerialQueue
        var client: ClientConnection?
    }

    private struct Accepted: Sendable {
        let connection: ClientConnection
        let slot: Int
        let queue: SerialQueue
    }

    nonisolated let lane: Lane
    let poller: Poller
    private let context: StreamContext
    private let socket: SeqPacketSocket
    private let accepted: AsyncStream<Accepted>
    private let continuation: AsyncStream<Accepted>.Continuation
    private var slots: [Slot]
    private var token: WatchToken?
    private var isStopped = false

    init(_ context: StreamContext, on lane: Lane) throws(IOError) {
        let configuration = context.configuration
        self.context = context
        self.lane = lane
        poller = Poller(lane: lane)
        socket = try SeqPacketSocket.listen(
            at: configuration.socket, mode: configuration.socketMode, group: configuration.socketGroup)
        (accepted, continuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(BackupsConfiguration.streamLimit))
        slots = (1...BackupsConfiguration.streamLimit).map { number in
            Slot(
                listening: SerialQueue(label: "backups-client-\(number)", isPatient: true),
                moving: SerialQueue(label: "backups-stream-\(number)", isPatient: true))
        }
    }

    /// Serves until `stop`, and then until the last stream has ended.
    nonisolated func run() async {
        await begin()
        await withDiscardingTaskGroup { group in
            for await client in accepted {
                group.addTask { await self.serve(client) }
            }
        }
    }

    /// Takes no more clients and ends the streams that run.
    func stop() {
        isStopped = true
        if let token { poller.unwatch(token) }
        token = nil
        continuation.finish()
        for slot in slots { slot.client?.refuse("nodeguard is stopping, so this stream was ended") }
        try? Files.remove(context.configuration.socket)
    }

    private func begin() {
        if isStopped { return }
        lane.start(self)
        do {
            token = try poller.watch(socket.rawValue, for: .readable, Readable { self.acceptAll() })
            // Whoever came before the watch.
            acceptAll()
        } catch { continuation.finish() }
    }

    private static let rest = Duration.milliseconds(200)

    private func acceptAll() {
        if isStopped { return }
        do throws(IOError) {
            while true {
                // Made first: a client that was accepted and then could not be served would be let go without a word.
                let interruption = try Interruption()
                guard let client = try socket.accept() else { return }
                admit(ClientConnection(client, interruption))
            }
        } catch {
            // No descriptor is left: whoever waits raises no second edge, so it is asked for again.
            _ = poller.schedule(after: Self.rest, AcceptAgain { self.acceptAll() })
        }
    }

    private func admit(_ connection: ClientConnection) {
        guard let index = slots.firstIndex(where: { $0.client == nil }) else {
            let limit = BackupsConfiguration.streamLimit
            connection.refuse("\(limit) backup streams are running, which is the limit; try again when one has ended")
            return
        }
        slots[index].client = connection
        slots[index].listening.submit { connection.receiveAll() }
        _ = poller.schedule(after: context.configuration.requestDeadline, RequestDeadline(connection))
        continuation.yield(Accepted(connection: connection, slot: index, queue: slots[index].moving))
    }

    private nonisolated func serve(_ client: Accepted) async {
        await StreamSession(client.connection, on: client.queue, in: context).serve()
        await release(client.slot)
    }

    private func release(_ slot: Int) { slots[slot].client = nil }
}

/// Tells the server, which it keeps alive until `stop`, that its socket has clients waiting.
private final class Readable: Watcher {
    private let tell: () -> Void

    init(_ tell: @escaping () -> Void) { self.tell = tell }

    func becameReady(_ readiness: Readiness) { tell() }
}

/// Asks the socket again, once.
private final class AcceptAgain: TimerTarget {
    private let accept: () -> Void

    init(_ accept: @escaping () -> Void) { self.accept = accept }

    func timerFired(_ token: TimerToken) { accept() }
}

/// Lets a client go that has asked for nothing in time.
private final class RequestDeadline: TimerTarget {
    private weak var connection: ClientConnection?

    init(_ connection: ClientConnection) { self.connection = connection }

    func timerFired(_ token: TimerToken) {
        if let connection, !connection.hasAsked { connection.refuse("nothing was asked for in time") }
    }
}
