import FoundationEssentials
import IO

/// The command line's side of the stream socket: one request a connection. Blocks.
package struct StreamClient: ~Copyable {
    package typealias Progress = (StreamReply) -> Void

    private static let commandLimit = 8192

    private let socket: SeqPacketSocket

    package init(connectingTo path: String) throws(BackupError) {
        do throws(IOError) {
            socket = try SeqPacketSocket.connect(to: path)
        } catch {
            throw BackupError(.unreachable, "\(error); is nodeguard running?")
        }
    }

    /// A copy of standard input, to hand over.
    package static func standardInput() throws(BackupError) -> Descriptor { try duplicate(0) }
    package static func standardOutput() throws(BackupError) -> Descriptor { try duplicate(1) }

    private static func duplicate(_ raw: Int32) throws(BackupError) -> Descriptor {
        let original = Descriptor(owning: raw)
        let copy: Result<Cell, IOError> = Result { () throws(IOError) in Cell(try original.duplicate()) }
        // The process keeps its own.
        _ = original.release()
        do throws(IOError) {
            return try copy.get().take()
        } catch { throw BackupError(.internalFault, "\(error)") }
    }

    /// Backs up what `stream` gives until its end. That the producer ended well can only be assumed of a pipe: `run`
    /// knows.
    package consuming func put(
        _ name: String, target: String? = nil, allowEmpty: Bool = false, from stream: borrowing Descriptor,
        progress: Progress = { _ in }
    ) throws(BackupError) -> BackupOutcome {
        var request = StreamRequest(.put, name: name, target: target)
        request.allowEmpty = allowEmpty
        try send(request, passing: stream)
        return try awaitOutcome(progress)
    }

    /// Starts `command` and backs up its standard output; only if it exits with 0 there is a backup.
    package consuming func run(
        _ name: String, target: String? = nil, allowEmpty: Bool = false, command: [String],
        progress: Progress = { _ in }
    ) throws(BackupError) -> BackupOutcome {
        var request = StreamRequest(.put, name: name, target: target)
        request.allowEmpty = allowEmpty
        // A very long one is recorded by its name: a request is one message.
        let isShort = command.map(\.utf8.count).reduce(0, +) <= Self.commandLimit
        request.command = isShort ? command : Array(command.prefix(1))
        let producer = try ProducerCommand(command)
        do throws(BackupError) {
            try producer.withOutput { output throws(BackupError) in try send(request, passing: output) }
            return try awaitOutcome(progress) { producer.waitUntilExit() }
        } catch {
            producer.terminate()
            throw error
        }
    }

    /// Restores into `stream`; what was written there counts only if this returns.
    package consuming func get(
        _ selector: String, target: String? = nil, to stream: borrowing Descriptor, progress: Progress = { _ in }
    ) throws(BackupError) -> BackupOutcome {
        try send(StreamRequest(.get, name: selector, target: target), passing: stream)
        return try awaitOutcome(progress)
    }

    package consuming func list(target: String? = nil) throws(BackupError) -> [BackupSummary] {
        var found: [BackupSummary] = []
        try send(StreamRequest(.list, target: target))
        _ = try awaitOutcome { reply in
            if case .backup(let summary) = reply { found.append(summary) }
        }
        return found
    }

    package consuming func verify(
        _ selector: String, target: String? = nil, level: Int = 3, progress: Progress = { _ in }
    ) throws(BackupError) -> BackupOutcome {
        var request = StreamRequest(.verify, name: selector, target: target)
        request.level = level
        try send(request)
        return try awaitOutcome(progress)
    }

    package consuming func delete(_ selector: String, target: String? = nil) throws(BackupError) -> BackupOutcome {
        try send(StreamRequest(.delete, name: selector, target: target))
        return try awaitOutcome()
    }

    /// A daemon that refused before it read the request has said why: its reply is read all the same.
    private borrowing func send(_ request: StreamRequest) throws(BackupError) {
        let bytes = try JSONDocument.encode(request)
        try? socket.send(bytes)
    }

    private borrowing func send(_ request: StreamRequest, passing stream: borrowing Descriptor) throws(BackupError) {
        let bytes = try JSONDocument.encode(request)
        try? socket.send(bytes, descriptor: stream)
    }

    /// `producerStatus` is asked once the stream has ended.
    private borrowing func awaitOutcome(
        _ progress: Progress = { _ in }, producerStatus: () -> Int32? = { nil }
    ) throws(BackupError) -> BackupOutcome {
        while true {
            let reply = try receive()
            progress(reply)
            switch reply {
            case .completed(let outcome): return outcome
            case .failed(let kind, let reason):
                throw BackupError(BackupError.Kind(rawValue: kind) ?? .internalFault, reason)
            case .ended:
                let notice = StreamNotice.producer(status: producerStatus())
                try? socket.send(try JSONDocument.encode(notice))
            case .started, .progress, .backup: break
            }
        }
    }

    private borrowing func receive() throws(BackupError) -> StreamReply {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try socket.receive(limit: ClientConnection.messageLimit).bytes
        } catch { throw BackupError(.unreachable, "the daemon's answer could not be read: \(error)") }
        guard !bytes.isEmpty else {
            throw BackupError(.unreachable, "the daemon ended before the stream was over; nothing of it counts")
        }
        return try JSONDocument.decode(StreamReply.self, from: bytes, "the daemon's answer")
    }
}

/// Carries a descriptor through a `Result`.
private final class Cell {
    private var descriptor: Descriptor?

    init(_ descriptor: consuming Descriptor) { self.descriptor = consume descriptor }

    func take() -> Descriptor {
        guard let taken = descriptor.take() else { preconditionFailure("taken twice") }
        return taken
    }
}
