import Foundation
import TestSupport

/// One of the system calls of a thread: the `number`th of this name, from 1.
struct SystemCall: Sendable, CustomStringConvertible {
    let name: String
    let number: Int

    var description: String { "\(name) \(number)" }
}

/// A command under strace(1), which kills it where it is told.
struct TracedCommand {
    /// By which files come, change and go; the question mark is for machines that have other ones (aarch64).
    private static let calls =
        [
            "mkdir", "mkdirat", "open", "openat", "write", "pwrite64", "fsync", "fdatasync", "chmod", "fchmod",
            "fchmodat", "chown", "fchown", "fchownat", "link", "linkat", "symlink", "symlinkat", "rename", "renameat",
            "renameat2", "unlink", "unlinkat", "rmdir", "flock", "close",
        ].map { "?" + $0 }.joined(separator: ",")

    /// In the slow proofs each call, otherwise every so manieth.
    private static let sample = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all" ? 1 : 9

    /// Where the programs of the package were built, beside the test bundle.
    static func built(_ name: String) -> String {
        let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return folder.appendingPathComponent(name).path
    }

    let program: String
    let arguments: [String]

    /// Runs to its end, and says what it called, from the first use of a file below `place` on: of the thread that
    /// renames. Of these a sample, the last one first.
    func calls(below place: String) throws -> [SystemCall] {
        let folder = try TemporaryDirectory()
        try Subprocess.check("strace", options(folder.file("log")) + command)
        let log = String(decoding: try folder.read("log"), as: UTF8.self).split(separator: "\n")
        let thread = log.first { $0.contains(" rename") }?.prefix { $0 != " " }
        guard let thread else { throw TestSupportError("nothing was renamed: \(log)") }
        var counts: [String: Int] = [:]
        var calls: [SystemCall] = []
        var hasBegun = false
        for line in log where line.hasPrefix(thread + " ") {
            let rest = line.dropFirst(thread.count).drop { $0 == " " }
            guard rest.first?.isLetter == true else { continue }
            let name = String(rest.prefix { $0 != "(" })
            counts[name, default: 0] += 1
            hasBegun = hasBegun || line.contains(place)
            if hasBegun { calls.append(SystemCall(name: name, number: counts[name] ?? 0)) }
        }
        return calls.reversed().enumerated().filter { $0.offset.isMultiple(of: Self.sample) }.map(\.element)
    }

    /// Throws if it was not killed.
    func run(killedAt call: SystemCall) throws {
        let inject = ["-e", "inject=\(call.name):signal=KILL:when=\(call.number)"]
        let result = try Subprocess.run("strace", options("/dev/null") + inject + command)
        guard !result.succeeded else { throw TestSupportError("not killed at \(call): \(result)") }
    }

    /// To its end.
    func run() throws { try Subprocess.check(program, arguments) }

    private func options(_ log: String) -> [String] {
        ["-f", "-o", log, "-e", "signal=none", "-e", "trace=\(Self.calls)"]
    }

    private var command: [String] { ["--", program] + arguments }
}
