import Foundation
import IO
import Testing

/// A program that ran to its end.
struct Outcome: CustomStringConvertible {
    let status: Int32
    let output: String
    let errors: String

    var description: String { "status \(status)\n\(output)\(errors)" }
    var lines: [Substring] { output.split(separator: "\n") }
}

/// A program that is started, watched through its log file, and never outlives its owner.
final class Program: @unchecked Sendable {
    /// Where the programs under test were built, beside the test bundle.
    static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    static var nodeguard: String { folder.appendingPathComponent("nodeguard").path }
    static var plane: String { folder.appendingPathComponent("nodeguard-plane").path }

    private let process: ChildProcess
    let logPath: String

    init(_ path: String, _ arguments: [String], log: String, environment: [String: String] = [:]) throws {
        logPath = log
        if !FileManager.default.fileExists(atPath: log) {
            _ = FileManager.default.createFile(atPath: log, contents: nil)
        }
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        try output.seekToEnd()
        let variables = ProcessInfo.processInfo.environment.merging(
            environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { own, _ in own }
        ) { _, own in own }
        process = try ChildProcess(
            path, arguments, environment: variables, input: FileHandle.nullDevice.fileDescriptor,
            output: output.fileDescriptor, errors: output.fileDescriptor)
        withExtendedLifetime(output) {}
    }

    deinit { kill() }

    var identifier: Int32 { process.identifier }
    var isRunning: Bool { process.ending == nil }
    var log: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// SIGTERM, then its exit status.
    @discardableResult func stop() -> Int32 {
        process.signal(SIGTERM)
        return process.wait().status
    }

    func waitForExit(within seconds: Double) async -> Int32? {
        await eventually(within: seconds) { self.process.ending != nil } ? process.wait().status : nil
    }

    /// SIGKILL, and waits until it is gone.
    func kill() {
        process.signal(SIGKILL)
        process.wait()
    }

    /// Runs a program to its end. Output is read from files, so that no pipe can fill up.
    static func run(
        _ path: String, _ arguments: [String], input: String? = nil, environment: [String: String] = [:]
    ) throws -> Outcome {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let files = ["in", "out", "err"].map { folder + "/" + $0 }
        for file in files { _ = FileManager.default.createFile(atPath: file, contents: Data()) }
        if let input { try Data(input.utf8).write(to: URL(fileURLWithPath: files[0])) }
        let input = try FileHandle(forReadingFrom: URL(fileURLWithPath: files[0]))
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: files[1]))
        let errors = try FileHandle(forWritingTo: URL(fileURLWithPath: files[2]))
        let process = try ChildProcess(
            path, arguments, environment: ProcessInfo.processInfo.environment.merging(environment) { _, own in own },
            directory: "/", input: input.fileDescriptor, output: output.fileDescriptor, errors: errors.fileDescriptor)
        let ending = process.wait()
        withExtendedLifetime((input, output, errors)) {}
        return Outcome(
            status: ending.status,
            output: String(decoding: try Data(contentsOf: URL(fileURLWithPath: files[1])), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: URL(fileURLWithPath: files[2])), as: UTF8.self))
    }

    /// `run` through bash, for pipelines.
    static func shell(_ script: String, environment: [String: String] = [:]) throws -> Outcome {
        try run("/bin/bash", ["-c", "set -o pipefail; " + script], environment: environment)
    }
}

func temporaryFolder() throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("nodeguard-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    return path
}

/// A port that was free a moment ago.
func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
    }
    try #require(bound)
    return Int(UInt16(bigEndian: address.sin_port))
}

/// Whether `condition` becomes true before the deadline; asked again every 20 ms.
func eventually(within seconds: Double, _ condition: @escaping @Sendable () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if condition() { return true }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(20)) { continuation.resume() }
        }
    }
    return condition()
}
