import Foundation
import IO
import TestSupport
import Testing

@Suite struct `A child process` {
    private func said(_ program: String, _ arguments: [String], environment: [String: String]? = nil) throws
        -> (text: String, ending: ChildProcess.Ending)
    {
        let pipe = Foundation.Pipe()
        let child = try ChildProcess(
            program, arguments, environment: environment, directory: "/",
            output: pipe.fileHandleForWriting.fileDescriptor)
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return (text, child.wait())
    }

    @Test func `has its arguments, environment and folder, and is found in PATH`() throws {
        let (text, ending) = try said(
            "sh", ["-c", "echo \"$1|$WORD|$PWD\"", "sh", "a b"], environment: ["WORD": "x=y"])
        #expect(text == "a b|x=y|/\n" && ending == .exited(0))
        let home = ProcessInfo.processInfo.environment["HOME"] ?? ""
        #expect(try said("sh", ["-c", "echo $HOME"]).text == home + "\n")
    }

    @Test func `has no descriptor but its three, and no signal is blocked or ignored`() throws {
        signal(SIGPIPE, SIG_IGN)
        let (text, _) = try said("sh", ["-c", "echo /proc/self/fd/*; grep -E '^Sig(Blk|Ign)' /proc/self/status"])
        #expect(text.split(separator: "\n")[0].split(separator: " ").count <= 4, "\(text)")
        // The C library's own two signals are nobody's (signal(7), 32 and 33).
        let own: UInt64 = 3 << 31
        for line in text.split(separator: "\n").dropFirst() {
            let signals = line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
            #expect(signals.map { $0 & ~own } == 0, "\(text)")
        }
    }

    @Test func `tells how it ended, again and again, and gets no signal after that`() throws {
        let failed = try ChildProcess("sh", ["-c", "exit 7"])
        #expect(failed.wait() == .exited(7) && failed.wait() == .exited(7) && failed.ending?.status == 7)
        failed.signal(SIGKILL)
        let killed = try ChildProcess("sleep", ["60"])
        #expect(killed.ending == nil)
        killed.signal(SIGTERM)
        #expect(killed.wait() == .signalled(SIGTERM) && killed.ending?.status == 128 + SIGTERM)
    }

    @Test func `that takes too long is killed with all that it has started`() async throws {
        let pipe = Foundation.Pipe()
        let child = try ChildProcess(
            "sh", ["-c", "sleep 600 & echo $!; sleep 600"], output: pipe.fileHandleForWriting.fileDescriptor,
            leadsGroup: true)
        try pipe.fileHandleForWriting.close()
        let started = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        let grandchild = try #require(Int32(started.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(child.wait(within: .milliseconds(200)) == nil)
        // The pipe's last writer was the grandchild.
        #expect(pipe.fileHandleForReading.readDataToEndOfFile().isEmpty)
        #expect(await eventually(within: 20) { kill(grandchild, 0) != 0 || isZombie(grandchild) })
        #expect(try ChildProcess("sh", ["-c", "exit 4"], leadsGroup: true).wait(within: .seconds(60)) == .exited(4))
        let other = try ChildProcess("sh", ["-c", "kill -KILL $$"], leadsGroup: true)
        #expect(other.wait(within: .seconds(60)) == .signalled(SIGKILL), "killed by somebody else, not for its time")
    }

    /// Nobody may wait for it here: its parent is gone.
    private func isZombie(_ process: Int32) -> Bool {
        let status = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        return status.isEmpty || status.contains(") Z ")
    }

    @Test func `that is not there is an error`() {
        let error = #expect(throws: IOError.self) { try ChildProcess("/no/such/program") }
        #expect(error?.description == "start /no/such/program: No such file or directory")
    }

    @Test func `tells how it ended although whoever started this process had SIGCHLD ignored`() throws {
        signal(SIGCHLD, SIG_IGN)
        #expect(try ChildProcess("sh", ["-c", "exit 3"]).wait() == .exited(3))
    }
}
