import Foundation

/// A page of the manual, as its mdoc(7) source.
struct ManualPage {
    static let folder: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.appending(path: "packaging/man")
    }()

    /// A tagged entry: what its head says, and all of its lines, those of the lists in it too.
    struct Entry {
        let head: [String]
        let lines: [String]

        /// `backup put`: the words behind the tag's own macro.
        var title: String { head.prefix { !ManualPage.macros.contains($0) }.joined(separator: " ") }
        var arguments: Set<String> { Set(words(after: "Ar", in: [head])) }
        var options: Set<String> { ManualPage.options(in: lines) }
        var text: String { lines.joined(separator: "\n") }

        /// What stands behind "Default:" as a literal.
        var literalDefault: String? {
            guard let index = lines.firstIndex(where: { $0.hasSuffix("Default:") }), index + 1 < lines.count,
                lines[index + 1].hasPrefix(".Ql ")
            else { return nil }
            return String(lines[index + 1].dropFirst(4).prefix { $0 != " " })
        }

        private func words(after macro: String, in lines: [[String]]) -> [String] {
            lines.flatMap { words in zip(words, words.dropFirst()).filter { $0.0 == macro }.map(\.1) }
        }
    }

    fileprivate static let macros: Set<String> = ["Ar", "Op", "Fl", "Oo", "Oc", "Xo", "Xc", "No", "Ns", ","]

    let lines: [String]

    init(_ name: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    func section(_ title: String) -> [String] {
        let rest = lines.drop { $0 != ".Sh \(title)" }.dropFirst()
        return Array(rest.prefix { !$0.hasPrefix(".Sh ") })
    }

    var options: Set<String> { Self.options(in: lines) }

    /// The entries whose tag begins with this macro.
    func entries(_ macro: String, in lines: [String]? = nil) -> [Entry] {
        let lines = lines ?? self.lines
        let starts = lines.indices.filter { isStart(lines[$0], macro) }
        return zip(starts, starts.dropFirst() + [lines.count]).map { start, end in
            let block = lines[start..<end].prefix { !$0.hasPrefix(".Sh ") }
            var head = Self.words(lines[start])
            if head.contains("Xo") {
                for line in block.dropFirst() {
                    if line == ".Xc" { break }
                    head += Self.words(line)
                }
            }
            let own = head.drop { $0 != macro }.dropFirst()
            return Entry(head: Array(own), lines: Array(block))
        }
    }

    private func isStart(_ line: String, _ macro: String) -> Bool {
        line.hasPrefix(".It \(macro) ") || line.hasPrefix(".It Xo \(macro) ")
    }

    private static func words(_ line: String) -> [String] {
        line.trimmingPrefix(".").split(separator: " ").map(String.init)
    }

    private static func options(in lines: [String]) -> Set<String> {
        Set(
            lines.filter { $0.hasPrefix(".") }.flatMap { line in
                let words = words(line)
                return zip(words, words.dropFirst()).filter { $0.0 == "Fl" }.map { "-" + $0.1 }
            })
    }
}

/// What ArgumentParser says of a program (`--experimental-dump-help`).
struct DumpedCommand: Decodable {
    struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String
        }

        let kind: String
        let names: [Name]?
        let valueName: String?
        let defaultValue: String?

        var options: [String] { (names ?? []).map { ($0.kind == "long" ? "--" : "-") + $0.name } }
    }

    struct Document: Decodable { let command: DumpedCommand }

    let commandName: String
    let subcommands: [DumpedCommand]?
    let arguments: [Argument]?

    /// Of every command but `help`: its words, and what it takes.
    func verbs(below path: [String] = []) -> [(path: String, arguments: [Argument])] {
        let own = (subcommands ?? []).filter { $0.commandName != "help" }
        if own.isEmpty { return [(path.joined(separator: " "), arguments ?? [])] }
        return own.flatMap { $0.verbs(below: path + [$0.commandName]) }
    }
}
