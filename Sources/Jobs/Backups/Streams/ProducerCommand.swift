import Glibc
import IO

/// A command whose standard output is backed up: started as the caller, its exit status decides.
final class ProducerCommand {
    private let process: ChildProcess
    private var output: Descriptor?

    init(_ command: [String]) throws(BackupError) {
        guard !command.isEmpty else { throw BackupError(.refused, "there is no command to run") }
        var pipe: IO.Pipe
        do throws(IOError) { pipe = try IO.Pipe() } catch { throw BackupError(.internalFault, "\(error)") }
        guard let reader = pipe.takeReader(), let writer = pipe.takeWriter() else {
            throw BackupError(.internalFault, "a pipe without ends")
        }
        output = consume reader
        do throws(IOError) {
            // Under env(1) a command that is not there has a status, too (127), and its backup has failed for all to
            // see. This process's write end is closed with `writer`: the command has its own.
            process = try ChildProcess("/usr/bin/env", ["--"] + command, output: writer.rawValue)
        } catch { throw BackupError(.producer, "could not \(error)") }
    }

    /// Lends the read end, and closes this process's copy: the daemon alone reads then.
    func withOutput(_ body: (borrowing Descriptor) throws(BackupError) -> Void) throws(BackupError) {
        guard let descriptor = output.take() else { preconditionFailure("the output is lent once") }
        try body(descriptor)
    }

    /// Its exit status; 128 and the signal if one ended it.
    func waitUntilExit() -> Int32 { process.wait().status }

    /// For a stream that has failed: nobody reads what it would still write.
    func terminate() { process.signal(SIGTERM) }
}
