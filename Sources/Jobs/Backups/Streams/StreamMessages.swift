/// What a client asks for: the one message that opens a stream, for `put` and `get` with a descriptor beside it.
package struct StreamRequest: Codable, Equatable, Sendable {
    package enum Verb: String, Codable, Sendable {
        case put, get, list, verify, delete
    }

    package let verb: Verb
    /// A label for `put`; `NAME`, `NAME@TIME` or an identifier for `get`, `verify` and `delete`.
    package var name: String?
    /// May be left out where there is one target, or where any will do.
    package var target: String?
    package var allowEmpty: Bool?
    package var level: Int?
    /// The command of `run`, for the sealed manifest.
    package var command: [String]?

    package init(_ verb: Verb, name: String? = nil, target: String? = nil) {
        self.verb = verb
        self.name = name
        self.target = target
    }
}

/// What a client says while its `put` runs.
package enum StreamNotice: Codable, Equatable, Sendable {
    /// The producer has ended; the manifest is not written if `status` is another than 0. Without one nobody knows how
    /// it ended: a pipe's end says nothing of it.
    case producer(status: Int32?)
}

/// What the daemon says. A client answers `ended` with its notice about the producer; `completed` or `failed` is the
/// last word.
package enum StreamReply: Codable, Equatable, Sendable {
    case started(backup: String, name: String, target: String)
    /// `bytes` of plaintext, `storedBytes` of ciphertext.
    case progress(bytes: Int64, storedBytes: Int64, seconds: Double)
    /// The stream of a `put` is sealed and stored to its end.
    case ended(bytes: Int64)
    case backup(summary: BackupSummary)
    case completed(outcome: BackupOutcome)
    case failed(kind: String, reason: String)
}

/// One complete backup, as `list` shows it.
package struct BackupSummary: Codable, Equatable, Sendable {
    package let name: String
    package let backup: String
    package let target: String
    package let node: String
    package let startedAt: String
    package let completedAt: String
    package let storedBytes: Int64
}

/// How a verb ended well.
package struct BackupOutcome: Codable, Equatable, Sendable {
    package var backup: String?
    package var name: String?
    package var target: String?
    /// Of plaintext.
    package var bytes: Int64 = 0
    package var storedBytes: Int64 = 0
    package var volumes: Int = 0
    package var seconds: Double = 0
    /// How far `verify` went.
    package var level: Int?
    /// How many backups `list` found.
    package var count: Int?
}
