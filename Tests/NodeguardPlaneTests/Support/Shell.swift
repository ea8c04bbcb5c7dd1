import Foundation
import IO
import Testing

/// Runs real programs, each with a deadline of its own (coreutils' timeout), and gives back what they said.
enum Shell {
    struct Output {
        let status: Int32
        let standardOutput: Data
        let standardError: String

        var text: String { String(decoding: standardOutput, as: UTF8.self) }
        var line: String { text.trimmingCharacters(in: .whitespacesAndNewlines) }
    }

    static func run(_ words: [String], input: Data = Data(), in folder: String? = nil) throws -> Output {
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("plane-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: scratch) }
        let inputFile = scratch.appendingPathComponent("in")
        let outputFile = scratch.appendingPathComponent("out")
        let errorFile = scratch.appendingPathComponent("err")
        try input.write(to: inputFile)
        for file in [outputFile, errorFile] { try Data().write(to: file) }
        let handles = (
            try FileHandle(forReadingFrom: inputFile), try FileHandle(forWritingTo: outputFile),
            try FileHandle(forWritingTo: errorFile)
        )
        let process = try ChildProcess(
            "timeout", ["60"] + words, directory: folder, input: handles.0.fileDescriptor,
            output: handles.1.fileDescriptor, errors: handles.2.fileDescriptor)
        let ending = process.wait()
        withExtendedLifetime(handles) {}
        return Output(
            status: ending.status, standardOutput: try Data(contentsOf: outputFile),
            standardError: String(decoding: try Data(contentsOf: errorFile), as: UTF8.self))
    }

    /// As `run`, but anything but success ends the test.
    @discardableResult
    static func succeed(_ words: [String], input: Data = Data(), in folder: String? = nil) throws -> Output {
        let output = try run(words, input: input, in: folder)
        try #require(output.status == 0, "\(words.joined(separator: " ")): \(output.standardError)\(output.text)")
        return output
    }
}
