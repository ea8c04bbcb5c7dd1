import Logging
import Reports
import Synchronization

/// The level below which nothing is logged; one for the process, changed while it runs.
package final class LogThreshold: Sendable {
    private let current: Mutex<Logger.Level>

    package init(_ level: Logger.Level) { current = Mutex(level) }

    package var level: Logger.Level {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}

/// swift-log's back end: structured fields to journald, or one line a record to standard error.
package struct LogOutput: LogHandler {
    private let label: String
    private let destination: LogDestination
    private let threshold: LogThreshold

    package var metadata: Logger.Metadata = [:]

    package init(label: String, destination: LogDestination, threshold: LogThreshold) {
        self.label = label
        self.destination = destination
        self.threshold = threshold
    }

    package var logLevel: Logger.Level {
        get { threshold.level }
        set { threshold.level = newValue }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        destination.write(
            LogRecord(
                time: .now, level: event.level, label: label, message: event.message.description,
                metadata: all.sorted { $0.key < $1.key }.map { ($0.key, $0.value.description) }))
    }
}
