import Foundation
import IO

/// A command whose standard output is backed up: started as the caller, its exit status decides.
final class ProducerCommand {
    private let process = Process()
    private var output: Descriptor?

    init(_ command: [String]) throws(BackupError) {
        guard !command.isEmpty else { throw BackupError(.refused, "there is no command to run") }
        var pipe: IO.Pipe
        do throws(IOError) { pipe = try IO.Pipe() } catch { throw BackupError(.internalFault, "\(error)") }
        guard let reader = pipe.takeReader(), let writer = pipe.takeWriter() else {
            throw BackupError(.internalFault, "a pipe without ends")
        }
        output = consume reader
        // env(1) looks the command up in PATH; it ends with 127 if there is none. Foundation hands the signals that
        // its thread blocks on, SIGALRM and SIGTERM among them: env unblocks them.
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["--default-signal", "--"] + command
        // The handle owns the write end and closes it here once the command has its own.
        let handle = FileHandle(fileDescriptor: writer.release(), closeOnDealloc: true)
        process.standardOutput = handle
        do {
            try process.run()
            try handle.close()
        } catch { throw BackupError(.producer, "could not start \(command[0]): \(error)") }
    }

    /// Lends the read end, and closes this process's copy: the daemon alone reads then.
    func withOutput(_ body: (borrowing Descriptor) throws(BackupError) -> Void) throws(BackupError) {
        guard let descriptor = output.take() else { preconditionFailure("the output is lent once") }
        try body(descriptor)
    }

    /// Its exit status; 128 and the signal if one ended it.
    func waitUntilExit() -> Int32 {
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }

    /// For a stream that has failed: nobody reads what it would still write.
    func terminate() {
        if process.isRunning { process.terminate() }
    }
}
