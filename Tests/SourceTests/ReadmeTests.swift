import Foundation
import Testing

@Suite struct `README` {
    private let text = try? String(contentsOf: SourceTree.top.appendingPathComponent("README.md"), encoding: .utf8)

    /// What its blocks of shell commands say, in their order.
    private var commands: [Substring] {
        var isShell = false
        return (text ?? "").split(separator: "\n").filter { line in
            if line.hasPrefix("```") { isShell = line == "```sh" }
            return isShell && !line.hasPrefix("```")
        }
    }

    @Test func `builds and installs each program before it is used`() {
        for program in ["nodeguard", "nodeguard-plane"] {
            let built = commands.firstIndex { $0.hasSuffix("--product \(program)") }
            let installed = commands.firstIndex { $0.hasPrefix("install -m 755 .build/release/\(program) ") }
            let used = commands.firstIndex { $0.hasPrefix("\(program) ") }
            guard let built, let installed else {
                Issue.record("\(program) is not installed")
                continue
            }
            #expect(built < installed && used.map { installed < $0 } ?? true, "\(program)")
        }
    }

    @Test func `installs files that are there, and every page of the manual`() throws {
        let sources = commands.filter { $0.hasPrefix("install ") }
            .compactMap { line in line.split(separator: " ").first { $0.contains("/") && !$0.hasPrefix(".build") } }
            .filter { !$0.hasPrefix("/") }
        for source in sources {
            #expect(
                FileManager.default.fileExists(atPath: SourceTree.top.appendingPathComponent(String(source)).path),
                "\(source)")
        }
        let pages = try FileManager.default.contentsOfDirectory(
            atPath: SourceTree.top.appendingPathComponent("packaging/man").path)
        #expect(!pages.isEmpty && pages.allSatisfy { sources.contains("packaging/man/\($0)") }, "\(pages)")
    }
}
