/// `status:`: the local sockets and who may connect.
struct StatusSection: Sendable, Equatable {
    var socket = "/run/nodeguard/status.sock"
    var control = "/run/nodeguard/control.sock"
    var stream = "/run/nodeguard/stream.sock"
    /// Permissions of the read-only socket.
    var mode: UInt32 = 0o666
    /// The group of the control and stream sockets; nil leaves the group of the process.
    var group: String?

    static func read(_ section: Section) -> StatusSection? {
        section.refuse("allow", "tcp-metrics")
        var status = StatusSection()
        if let path = section.value("socket", .socketPath) { status.socket = path }
        if let path = section.value("control", .socketPath) { status.control = path }
        if let path = section.value("stream", .socketPath) { status.stream = path }
        if let mode = section.value("mode", .mode) { status.mode = mode }
        status.group = section.value("group", .text(limit: 32))
        if Set([status.socket, status.control, status.stream]).count < 3 {
            section.add("'socket', 'control' and 'stream' must be three different paths", at: section.position)
        }
        return status
    }
}

/// `log:`: how much is logged, and where to.
struct LogSection: Sendable, Equatable {
    enum Level: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    enum Destination: String, Sendable, CaseIterable {
        /// The journal where standard error is connected to it, else standard error.
        case auto
        case journal
        case standardError = "stderr"
    }

    var level = Level.info
    var destination = Destination.auto

    static func read(_ section: Section) -> LogSection? {
        var log = LogSection()
        if let level = section.value("level", Form<Level>.word("log level")) { log.level = level }
        if let destination = section.value("destination", Form<Destination>.word("log destination")) {
            log.destination = destination
        }
        return log
    }
}
