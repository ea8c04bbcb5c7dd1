import NIOCore
import Synchronization

/// The open channels of one listener, served or still waiting for it. None outlives the listener or its own time.
final class AcceptedChannels: Sendable {
    private struct Contents {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isClosed = false
    }

    private let contents = Mutex(Contents())

    func add(_ channel: any Channel) {
        let isClosed = contents.withLock { contents in
            contents.channels[ObjectIdentifier(channel)] = channel
            return contents.isClosed
        }
        let limit = channel.eventLoop.scheduleTask(in: .seconds(StatusConfiguration.lifetimeLimitSeconds)) {
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in
            limit.cancel()
            self.contents.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
        }
        if isClosed { channel.close(promise: nil) }
    }

    func closeAll() {
        let channels = contents.withLock { contents in
            contents.isClosed = true
            return contents.channels.values.map { $0 }
        }
        for channel in channels { channel.close(promise: nil) }
    }
}
