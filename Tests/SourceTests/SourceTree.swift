import Foundation
import Testing

/// One Swift file of the repository, read for the rules that the compiler cannot check.
struct SourceFile: CustomStringConvertible {
    /// Relative to the top, such as `Sources/Jobs/Proxy/Relay.swift`.
    let path: String
    let text: String
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
        lines.filter { $0.utf8.contains(UInt8(ascii: "i")) && $0.contains("import") }.compactMap { line in
            line.firstMatch(of: /^\s*(?:@\w+\s+)*(?:package\s+|private\s+|internal\s+)?import\s+(?:\w+\s+)?(\w+)/).map {
                String($0.1)
            }
        }
    }
    /// Lines without what stands in comments; text in string literals stays.
    var code: [(number: Int, text: Substring)] {
        numbered.filter { !$0.text.drop { $0 == " " }.hasPrefix("//") }
    }
    var numbered: [(number: Int, text: Substring)] { lines.enumerated().map { ($0 + 1, $1) } }
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
                path: "\(folder)/\(path)", text: text,
                lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    static var sources: [SourceFile] { files.filter { $0.path.hasPrefix("Sources/") } }
    static var jobs: [SourceFile] { sources.filter { $0.module.hasPrefix("Jobs/") } }

    /// `path:line: text` for each line of code that matches. Foundation's expressions, on whole files first: Swift's
    /// own take a minute in a debug build.
    static func occurrences(
        of pattern: String, in files: [SourceFile], evenInComments: Bool = false
    ) throws -> [String] {
        let expression = try NSRegularExpression(pattern: pattern)
        func matches(_ text: some StringProtocol) -> Bool {
            let text = String(text)
            return expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil
        }
        return files.filter { matches($0.text) }.flatMap { file in
            let lines = evenInComments ? file.numbered : file.code
            return lines.filter { matches($0.text) }.map { "\(file.path):\($0.number): \($0.text)" }
        }
    }
}
