import FoundationEssentials
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix

/// One unix socket that answers HTTP. The path appears with its final permissions, in one step; a socket that nobody
/// answers on any more is replaced, everything else at the path is left alone.
struct LocalListener: Sendable {
    private let path: String
    /// Accepted channels come as they are, without a pipeline: an asynchronous one that is accepted but dropped,
    /// because the listener ends at that moment, would trap (NIOAsyncWriter's deinit).
    let channel: NIOAsyncChannel<any Channel, Never>
    private let accepted: AcceptedChannels
    private let child: LocalChannel
    private let logger: Logger

    static func open(
        _ path: String, mode: UInt32, group: String?, child: LocalChannel, on loops: any EventLoopGroup, logger: Logger
    ) async throws(StatusError) -> LocalListener {
        try await makeWay(path, on: loops)
        let temporary = path + ".new"
        let accepted = AcceptedChannels()
        let channel: NIOAsyncChannel<any Channel, Never>
        do {
            channel = try await ServerBootstrap(group: loops)
                .serverChannelOption(ChannelOptions.backlog, value: Self.backlog)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            AvailableConnectionsChannelHandler(
                                delegate: MaximumAvailableConnections(
                                    StatusConfiguration.clientLimit, logger: logger)))
                    }
                }
                .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
                .childChannelOption(ChannelOptions.autoRead, value: false)
                .bind(unixDomainSocketPath: temporary, cleanupExistingSocketFile: true) { channel in
                    accepted.add(channel)
                    return channel.eventLoop.makeSucceededFuture(channel)
                }
        } catch {
            throw StatusError("cannot listen on \(path): \(error); is its folder there, and may we write to it?")
        }
        let listener = LocalListener(
            path: path, channel: channel, accepted: accepted, child: child, logger: logger)
        do {
            try publish(temporary, as: path, mode: mode, group: group)
        } catch {
            await listener.close()
            throw error
        }
        return listener
    }

    private static let backlog: Int32 = 64

    /// Answers until the task is cancelled.
    func run() async throws {
        defer { accepted.closeAll() }
        try await channel.executeThenClose { inbound in
            try await withThrowingDiscardingTaskGroup { group in
                for try await connection in inbound {
                    group.addTask { await child.serve(connection, logger: logger) }
                }
                group.cancelAll()
            }
        }
        // Nobody closed it but the kernel.
        if !Task.isCancelled { throw StatusError("\(path) does not listen any more") }
    }

    /// For a listener that never came to `run`.
    func close() async {
        defer { accepted.closeAll() }
        do {
            try await channel.executeThenClose { _ in }
        } catch {
            logger.debug("a local socket did not close cleanly", metadata: ["error": "\(error)"])
        }
    }

    /// Two daemons on one path would each answer half of the questions.
    private static func makeWay(_ path: String, on loops: any EventLoopGroup) async throws(StatusError) {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path) else { return }
        guard attributes[.type] as? FileAttributeType == .typeSocket else {
            throw StatusError("cannot listen on \(path): it is there already and is no socket; move it away")
        }
        let other = try? await ClientBootstrap(group: loops).connect(unixDomainSocketPath: path).get()
        if let other {
            other.close(promise: nil)
            throw StatusError("cannot listen on \(path): another process answers there; is nodeguard running already?")
        }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw StatusError("cannot replace the stale socket \(path): \(error)")
        }
    }

    private static func publish(
        _ temporary: String, as path: String, mode: UInt32, group: String?
    ) throws(StatusError) {
        var attributes: [FileAttributeKey: any Sendable] = [.posixPermissions: Int(mode)]
        if let group { attributes[.groupOwnerAccountName] = group }
        do {
            try FileManager.default.setAttributes(attributes, ofItemAtPath: temporary)
            // A group that does not exist is passed over in silence.
            let owner = try FileManager.default.attributesOfItem(atPath: temporary)[.groupOwnerAccountName] as? String
            if let group, owner != group { throw StatusError("there is no group \(group)") }
            try FileManager.default.moveItem(atPath: temporary, toPath: path)
        } catch {
            let whose = group.map { " for the group \($0)" } ?? ""
            throw StatusError("cannot set up \(path)\(whose): \(error)")
        }
    }
}
