/// Where the status job listens and who may connect; file permissions are the whole of it for now.
package struct StatusConfiguration: Sendable, Equatable {
    /// The read-only socket.
    package var statusPath: String
    /// The socket for calls that change something, or that show who is connected.
    package var controlPath: String
    /// Permissions of the read-only socket.
    package var mode: UInt32
    /// Whose members may use the control socket beside its owner; nil leaves the group of the process.
    package var group: String?

    package init(statusPath: String, controlPath: String, mode: UInt32 = 0o666, group: String? = nil) {
        self.statusPath = statusPath
        self.controlPath = controlPath
        self.mode = mode
        self.group = group
    }

    /// Connections to one socket at a time; the next one waits in the backlog until one of these ends.
    package static let clientLimit = 32
    /// How long a client may be silent before its request is complete, or between two requests.
    package static let silenceLimitSeconds: Int64 = 5
    /// No connection outlives this, whatever it does.
    package static let lifetimeLimitSeconds: Int64 = 120
    /// All headers of a request together.
    package static let headerLimit = 4096
    /// An answer longer than this is a mistake of ours; clients read no further.
    package static let answerLimit = 4 << 20
    static let controlMode: UInt32 = 0o660
}
