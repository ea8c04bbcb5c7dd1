import Foundation
import Testing

@Suite struct `The style of the house` {
    @Test func `has no pointer above the platform`() throws {
        let files = SourceTree.sources.filter { $0.module.hasPrefix("Jobs/") || $0.module == "nodeguard" }
        #expect(try SourceTree.occurrences(of: #"\bunsafe\b(?!-)|Unsafe\w*Pointer|withUnsafe"#, in: files) == [])
    }

    @Test func `promises concurrency to the compiler, not around it`() throws {
        let lowest: Set<String> = ["Lane.swift", "LaneQueue.swift"]
        let others = SourceTree.sources.filter { !($0.module == "Platform/IO" && lowest.contains($0.name)) }
        #expect(try SourceTree.occurrences(of: #"@unchecked Sendable|@preconcurrency"#, in: others) == [])
        let notOpenSSL = others.filter { $0.module != "Platform/OpenSSL" }
        #expect(try SourceTree.occurrences(of: #"nonisolated\(unsafe\)"#, in: notOpenSSL) == [])
        #expect(try SourceTree.occurrences(of: #"\bTask\s*(\.detached)?\s*[{(]"#, in: SourceTree.jobs) == [])
    }

    @Test func `never waits by sleeping`() throws {
        let pattern = #"\b(Thread|Task)\.sleep|\busleep\(|\bnanosleep\(|\bsleep\(\d"#
        let found = try SourceTree.occurrences(of: pattern, in: SourceTree.files)
        // A slow server in Python is what its test is about.
        #expect(found.filter { !$0.contains("time.sleep") } == [])
    }

    @Test func `leaves nothing for later and forces nothing`() throws {
        let others = SourceTree.files.filter { !$0.path.hasPrefix("Tests/SourceTests/") }
        let words = #"\b(TODO|FIXME|XXX)\b|\btry!|\bfatalError\(|withKnownIssue|\.disabled\("#
        #expect(try SourceTree.occurrences(of: words, in: others, evenInComments: true) == [])
    }

    @Test func `has no type that manages, helps or handles`() throws {
        let names = #"\b(class|struct|enum|actor|protocol)\s+\w*(Manager|Helper|Utils|Impl)\b"#
        let found = try SourceTree.occurrences(of: names, in: SourceTree.sources)
        // "Service manager" is systemd's own name for what it is.
        #expect(found.filter { !$0.contains("struct ServiceManager") } == [])
    }

    @Test func `keeps files and lines short`() {
        let long = SourceTree.files.filter { $0.lines.count > 301 }
        #expect(long.map { "\($0.path): \($0.lines.count) lines" } == [])
        let wide = SourceTree.files.flatMap { file in
            file.numbered.filter { $0.text.utf8.count > 120 && $0.text.count > 120 }.map { "\(file.path):\($0.number)" }
        }
        #expect(wide == [])
    }

    @Test func `keeps functions under 70 lines`() {
        #expect(SourceTree.files.flatMap(longFunctions) == [])
    }

    /// Relies on the formatter: a function's closing brace stands in the column of its first line.
    private func longFunctions(in file: SourceFile) -> [String] {
        var found: [String] = []
        for (index, line) in file.lines.enumerated() where line.contains("func ") || line.contains("init") {
            guard line.contains(/^\s*(\w+(\(\w+\))?\s+)*(func\s|init[?(<])/) else { continue }
            let indent = line.prefix { $0 == " " }
            if line.hasSuffix("}") { continue }
            guard let end = file.lines[index...].firstIndex(where: { $0 == indent + "}" }) else { continue }
            let next = file.lines[(index + 1)..<end].contains {
                $0.hasPrefix(indent + "func ") || $0.hasPrefix(indent + "package func ")
            }
            if !next, end - index > 70 { found.append("\(file.path):\(index + 1): \(end - index) lines") }
        }
        return found
    }

    @Test func `gives each module its tests`() {
        let modules = Set(SourceTree.sources.map { $0.module.split(separator: "/").last.map(String.init) ?? "" })
        let names = ["nodeguard": "Nodeguard", "nodeguard-plane": "NodeguardPlane"]
        let missing = modules.filter { module in
            let folder = "Tests/\(names[module] ?? module)Tests/"
            return !SourceTree.files.contains {
                $0.path.hasPrefix(folder) && $0.lines.contains { $0.contains("@Test") }
            }
        }
        #expect(missing == [])
    }

    @Test func `names no machine and no registry in what is shipped`() throws {
        let words = /deb\.debian\.org|pypi\.org|registry\.npmjs|\/work\/|\/root\//
        let allowed = ["Tests/SourceTests/", "packaging/boot/", "packaging/test-boot"]
        let listing = try #require(FileManager.default.enumerator(atPath: SourceTree.top.path))
        var found: [String] = []
        for case let path as String in listing {
            if path.hasPrefix(".build") || path == ".git" || path.hasPrefix(".git/") {
                listing.skipDescendants(); continue
            }
            if allowed.contains(where: path.hasPrefix) { continue }
            let text = try? String(contentsOf: SourceTree.top.appendingPathComponent(path), encoding: .utf8)
            if let text, text.contains(words) { found.append(path) }
        }
        #expect(found == [])
    }
}
