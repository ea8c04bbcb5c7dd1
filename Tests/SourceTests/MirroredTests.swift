import Foundation
import Testing

/// Tests/README.md, the list of tests that others have.
@Suite struct `The list of tests of others` {
    @Test func `names tests of ours that are there`() throws {
        let text = try String(contentsOf: SourceTree.top.appendingPathComponent("Tests/README.md"), encoding: .utf8)
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| ") }.dropFirst()
        let named = rows.flatMap { row in
            (row.split(separator: "|").last ?? "").matches(of: /`([^`]+)`/).map { String($0.1) }
        }
        #expect(named.count > 50)
        let tests = SourceTree.files.filter { $0.path.hasPrefix("Tests/") }
        let known = Set(
            tests.flatMap { file in
                file.lines.flatMap { line in line.matches(of: /func `([^`]+)`/).map { String($0.1) } }
            })
        for name in named { #expect(known.contains(name), "there is no test `\(name)`") }
    }
}
