/// Why a backup could not be made, read or removed: what was done, the library's own words, and what to do.
package struct BackupError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// What is stored is not what was sealed: changed, cut, swapped, or not ours.
        case corrupt
        /// Nothing by that name, or more than one.
        case notFound = "not-found"
        /// The request itself cannot be served.
        case refused
        /// No key, so nothing is written and nothing is read.
        case key
        /// The producer failed, gave nothing, or vanished.
        case producer
        /// Whoever reads the restored stream has stopped.
        case consumer
        case target
        /// The daemon does not answer.
        case unreachable
        case cancelled
        case internalFault = "internal"
    }

    package let kind: Kind
    package let description: String

    package init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ malformed: MalformedMessage, in what: String) {
        self.init(.corrupt, "\(what): \(malformed)")
    }

    func adding(_ context: String) -> BackupError { BackupError(kind, "\(context): \(description)") }
}
