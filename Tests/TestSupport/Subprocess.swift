import Foundation
import IO

/// A program that a test runs; killed with its last reference.
///
/// Output goes to files of its own folder, so that a talkative program never blocks on a full pipe.
package final class Subprocess: Sendable {
    package struct Result: Sendable, CustomStringConvertible {
        package let status: Int32
        package let output: String
        package let errors: String
        package var succeeded: Bool { status == 0 }
        package var description: String { "status \(status)\n\(output)\(errors)" }
    }

    private let process: ChildProcess
    private let folder: TemporaryDirectory
    private let inputPipe: Foundation.Pipe?

    /// Starts `program`: a path, or a name that is looked up in `PATH`.
    package init(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:],
        directory: String? = nil, input: FileHandle? = nil, keepsInputOpen: Bool = false
    ) throws {
        folder = try TemporaryDirectory(prefix: "subprocess")
        inputPipe = keepsInputOpen ? Foundation.Pipe() : nil
        let input = inputPipe?.fileHandleForReading ?? input ?? FileHandle.nullDevice
        let (output, errors) = (try Self.emptyFile(folder.file("output")), try Self.emptyFile(folder.file("errors")))
        process = try ChildProcess(
            program, arguments, environment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
            directory: directory, input: input.fileDescriptor, output: output.fileDescriptor,
            errors: errors.fileDescriptor)
        try inputPipe?.fileHandleForReading.close()
        withExtendedLifetime((input, output, errors)) {}
    }

    deinit {
        process.signal(SIGKILL)
        process.wait()
    }

    package var identifier: Int32 { process.identifier }
    package var isRunning: Bool { process.ending == nil }
    package var output: String { text("output") }
    package var errors: String { text("errors") }

    package func signal(_ number: Int32) { process.signal(number) }

    /// Writes to the program's standard input, which must have been kept open.
    package func write(_ bytes: [UInt8]) throws {
        try inputPipe?.fileHandleForWriting.write(contentsOf: Data(bytes))
    }

    package func endInput() throws { try inputPipe?.fileHandleForWriting.close() }

    /// Waits until a line with `text` stands in the output or among the errors.
    package func waitForLine(containing text: String, within seconds: Double = 20) async throws {
        let found = await eventually(within: seconds) {
            self.output.contains(text) || self.errors.contains(text) || !self.isRunning
        }
        guard found, output.contains(text) || errors.contains(text) else {
            throw TestSupportError("no line with \"\(text)\":\n\(output)\(errors)")
        }
    }

    /// Waits for the end; kills the program and throws when it is not over in time.
    package func waitForEnd(within seconds: Double = 60) async throws -> Result {
        guard await eventually(within: seconds, { self.process.ending != nil }) else {
            signal(SIGKILL)
            throw TestSupportError("still running after \(seconds) s:\n\(output)\(errors)")
        }
        return Result(status: process.wait().status, output: output, errors: errors)
    }

    /// As `waitForEnd`, blocking the thread.
    package func end(within seconds: Double = 60) throws -> Result {
        guard eventuallyBlocking(within: seconds, { process.ending != nil }) else {
            signal(SIGKILL)
            throw TestSupportError("still running after \(seconds) s:\n\(output)\(errors)")
        }
        return Result(status: process.wait().status, output: output, errors: errors)
    }

    /// Runs a program to its end, blocking the thread.
    package static func run(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:],
        directory: String? = nil, input: FileHandle? = nil, within seconds: Double = 60
    ) throws -> Result {
        let child = try Subprocess(
            program, arguments, environment: environment, directory: directory, input: input)
        return try child.end(within: seconds)
    }

    /// As `run`, and throws what the program said when it did not end with status 0.
    @discardableResult
    package static func check(
        _ program: String, _ arguments: [String] = [], environment: [String: String] = [:],
        directory: String? = nil, input: FileHandle? = nil, within seconds: Double = 60
    ) throws -> String {
        let result = try run(
            program, arguments, environment: environment, directory: directory, input: input, within: seconds)
        guard result.succeeded else {
            throw TestSupportError("\(program) \(arguments.joined(separator: " ")): \(result)")
        }
        return result.output
    }

    private func text(_ name: String) -> String {
        String(decoding: (try? folder.read(name)) ?? [], as: UTF8.self)
    }

    private static func emptyFile(_ path: String) throws -> FileHandle {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw TestSupportError("cannot create \(path)") }
        return handle
    }
}
