import Foundation
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `The manual` {
    /// Of every command; the page's own OPTIONS have them.
    private static let general: Set<String> = ["--help", "-h", "--version"]

    private func dump(_ program: String) throws -> DumpedCommand {
        let path = URL(fileURLWithPath: ProgramFixture.program).deletingLastPathComponent().appending(path: program)
            .path
        let help = try Subprocess.run(path, ["--experimental-dump-help"])
        return try JSONDecoder().decode(DumpedCommand.Document.self, from: Data(help.output.utf8)).command
    }

    @Test(arguments: ["nodeguard", "nodeguard-plane"])
    func `has every command with all that it takes, and no other`(program: String) throws {
        let page = try ManualPage("\(program).1")
        let entries = page.entries("Cm", in: page.section("COMMANDS")).filter { $0.title != "help" }
        let verbs = try dump(program).verbs()
        let general = program == "nodeguard-plane" ? Self.general.union(["--database"]) : Self.general
        #expect(verbs.count > 10)
        #expect(entries.map(\.title).sorted() == verbs.map(\.path).sorted())
        for verb in verbs {
            guard let entry = entries.first(where: { $0.title == verb.path }) else { continue }
            let options = Set(verb.arguments.flatMap(\.options)).subtracting(general)
            #expect(entry.options == options, "\(verb.path)")
            let positional = verb.arguments.filter { $0.kind == "positional" }.compactMap(\.valueName)
            #expect(entry.arguments.isSuperset(of: positional), "\(verb.path)")
            for argument in verb.arguments where !argument.options.contains("--config") {
                let words = (argument.defaultValue ?? "").split(separator: ",")
                #expect(words.allSatisfy(entry.text.contains), "\(verb.path) \(argument.options): default \(words)")
            }
        }
        let all = Set(verbs.flatMap { $0.arguments.flatMap(\.options) })
        #expect(page.options == all)
    }

    @Test func `has every exit status that a command ends with`() throws {
        let shown = try ManualPage("nodeguard.1").section("EXIT STATUS").compactMap { line in
            line.hasPrefix(".It ") ? Int32(line.dropFirst(4)) : nil
        }
        #expect(shown == VerbStatus.allCases.map(\.rawValue))
    }

    @Test func `has every key of the configuration, and no other`() throws {
        let reading = ConfigurationReading()
        _ = NodeConfiguration.read(ConfigurationExample.text, reading)
        #expect(reading.mistakes == [])
        // Rules of both kinds, and their groups, have the same keys.
        let known = Set(reading.knownKeys.map { $0.asOfAllow })
        let entries = try ManualPage("nodeguard.yaml.5").entries("Ic")
        #expect(entries.map(\.title).sorted() == known.sorted())
        for entry in entries {
            let isSection = known.contains { $0.hasPrefix(entry.title + ".") }
            let says = ["Default:", "Required.", "Optional."].contains(where: entry.text.contains)
            #expect(says || isSection, "\(entry.title) has no default")
        }
    }

    @Test func `has the defaults that are true`() throws {
        let shown = ConfigurationText.of(try NodeConfiguration.parse("node: { name: db-1 }", path: "test"))
        let root = try #require(ConfigurationDocument.parse(shown, ConfigurationReading()))
        let defaults = leaves(of: root, at: "").filter { $0.key != "node.name" }
        #expect(defaults.count > 20)
        let entries = try ManualPage("nodeguard.yaml.5").entries("Ic")
        for (key, value) in defaults {
            #expect(entries.first { $0.title == key }?.literalDefault == value, "\(key)")
        }
    }

    private func leaves(of node: ConfigurationNode, at path: String) -> [(key: String, value: String)] {
        switch node.content {
        case .text(let text): [(path, text)]
        case .list: []
        case .mapping(let entries):
            entries.flatMap { leaves(of: $0.node, at: path.isEmpty ? $0.key : path + "." + $0.key) }
        }
    }

    @Test func `shows a configuration that is right`() throws {
        let lines = try ManualPage("nodeguard.yaml.5").section("EXAMPLES")
        let example = lines.drop { !$0.hasPrefix(".Bd ") }.dropFirst().prefix { $0 != ".Ed" }
        let configuration = try NodeConfiguration.parse(example.joined(separator: "\n"), path: "example")
        #expect(configuration.proxy.listeners.count == 1)
    }

    @Test func `begins a node with a configuration that needs no edit`() throws {
        let lines = try ManualPage("nodeguard.1").section("EXAMPLES")
        let example = lines.drop { !$0.contains("<<END") }.dropFirst().prefix { $0 != "END" }
        let configuration = try NodeConfiguration.parse(example.joined(separator: "\n"), path: "example")
        #expect(configuration.proxy.listeners.count == 1 && configuration.fileMistakes == [])
    }

    @Test func `has no complaint of mandoc`() throws {
        let pages = ["nodeguard.1", "nodeguard.yaml.5", "nodeguard-plane.1"]
        let lint = try Subprocess.run(
            "mandoc", ["-T", "lint"] + pages.map { ManualPage.folder.appending(path: $0).path })
        // Which other pages are installed is this machine's affair.
        let complaints = lint.output.split(separator: "\n").filter { !$0.contains("referenced manual not found") }
        #expect(complaints == [])
        let shown = try Subprocess.run("mandoc", ["-T", "utf8", ManualPage.folder.appending(path: pages[0]).path])
        #expect(shown.output.count > 5000)
    }
}
