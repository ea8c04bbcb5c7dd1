import Foundation
import Testing

/// One Swift file of the repository, read for the rules that the compiler cannot check.
struct SourceFile: CustomStringConvertible {
    /// Relative to the top, such as `Sources/Jobs/Proxy/Relay.swift`.
    let path: String
    let lines: [Substring]

    var description: String { path }
    var name: String { String(path.split(separator: "/").last ?? "") }
    /// `Jobs/Proxy`, `Platform/IO`, `nodeguard`, …
    var module: String {
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count > 2 else { return "" }
        return ["Jobs", "Platform", "CLibraries"].contains(parts[1]) ? "\(parts[1])/\(parts[2])" : parts[1]
    }
    var imports: [String] {
        lines.compactMap { line in
            line.firstMatch(of: /^\s*(?:@\w+\s+)*(?:package\s+|private\s+|internal\s+)?import\s+(?:\w+\s+)?(\w+)/).map {
                String($0.1)
            }
        }
    }
    /// Lines without what stands in comments; text in string literals stays.
    var code: [(number: Int, text: Substring)] {
        lines.enumerated().compactMap { index, line in
            let trimmed = line.drop { $0 == " " }
            return trimmed.hasPrefix("//") ? nil : (index + 1, line)
        }
    }
}

enum SourceTree {
    static let top: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    static let files: [SourceFile] = ["Sources", "Tests"].flatMap { folder -> [SourceFile] in
        let base = top.appendingPathComponent(folder)
        let paths = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String } ?? []
        return paths.filter { $0.hasSuffix(".swift") }.sorted().compactMap { path in
            guard let text = try? String(contentsOf: base.appendingPathComponent(path), encoding: .utf8) else {
                return nil
            }
            return SourceFile(
                path: "\(folder)/\(path)", lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    static var sources: [SourceFile] { files.filter { $0.path.hasPrefix("Sources/") } }
    static var jobs: [SourceFile] { sources.filter { $0.module.hasPrefix("Jobs/") } }

    /// `path:line: text` for each line of code that matches.
    static func occurrences(of pattern: some RegexComponent, in files: [SourceFile]) -> [String] {
        files.flatMap { file in
            file.code.filter { $0.text.contains(pattern) }.map { "\(file.path):\($0.number): \($0.text)" }
        }
    }
}
