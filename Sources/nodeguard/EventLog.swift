import Logging
import Reports

/// Every audit event as a log line too. A failure or refusal is a warning; the coming and going of clients is for
/// debugging.
enum EventLog {
    /// All loggers have one threshold, which a reload may change.
    private static let threshold = Logger(label: "agent")

    static func write(_ event: AuditEvent) {
        let level = level(of: event)
        // No logger is made for what is not logged: the proxy reports each connection twice.
        guard level >= threshold.logLevel else { return }
        let name = event.name.rawValue
        let job = name.split(separator: ".").first.map(String.init) ?? "agent"
        Logger(label: job).log(level: level, "\(name)", metadata: metadata(of: event))
    }

    private static func metadata(of event: AuditEvent) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["event": "\(event.name.rawValue)", "outcome": "\(event.outcome.rawValue)"]
        for (key, value) in event.fields {
            metadata[key] = if case .string(let text) = value { "\(text)" } else { "\(value.text)" }
        }
        return metadata
    }

    private static func level(of event: AuditEvent) -> Logger.Level {
        switch event.name {
        case .connectionAccepted, .connectionClosed, .controlCall, .cancelForwarded: .debug
        case .connectionRefused, .cancelDropped: .info
        default: event.outcome == .success ? .notice : .warning
        }
    }
}
