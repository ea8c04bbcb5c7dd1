import Logging
import NIOCore
import NIOPosix
import Reports

/// The status job: both local sockets and the answers behind them. Made by `open`, which returns when both answer;
/// works while `run` is awaited and ends with its task.
package final class StatusServer: Sendable {
    let listeners: [LocalListener]

    private init(listeners: [LocalListener]) { self.listeners = listeners }

    package static func open(
        _ configuration: StatusConfiguration, source: StatusSource, audit: AuditReporter, logger: Logger
    ) async throws(StatusError) -> StatusServer {
        let loops = MultiThreadedEventLoopGroup.singleton
        let calls = LocalCalls(source: source, audit: audit)
        let status = try await LocalListener.open(
            configuration.statusPath, mode: configuration.mode, group: nil,
            child: LocalChannel(calls: calls, asksCaller: false), on: loops, logger: logger)
        do {
            let control = try await LocalListener.open(
                configuration.controlPath, mode: StatusConfiguration.controlMode, group: configuration.group,
                child: LocalChannel(calls: calls, asksCaller: true), on: loops, logger: logger)
            calls.registerMetrics()
            return StatusServer(listeners: [status, control])
        } catch {
            await status.close()
            throw error
        }
    }

    /// Once, and only once. A server that is never run must be told to `close`.
    package func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for listener in listeners {
                group.addTask { try await listener.run() }
            }
        }
    }

    package func close() async {
        for listener in listeners { await listener.close() }
    }
}
