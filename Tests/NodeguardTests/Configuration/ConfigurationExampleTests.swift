import Foundation
import Testing

@testable import nodeguard

@Suite struct `The example configuration` {
    @Test func `is right, and has every key that this version knows`() {
        let reading = ConfigurationReading()
        let configuration = NodeConfiguration.read(ConfigurationExample.text, reading)
        #expect(reading.mistakes == [])
        #expect(configuration != nil)
        // Rules of both kinds, and their groups, have the same keys.
        let known = Set(reading.knownKeys.map { $0.asOfAllow })
        let present = Set(reading.presentKeys.map { $0.asOfAllow })
        #expect(known.subtracting(present) == [])
        #expect(reading.knownKeys.count > 60)
    }

    @Test func `fits a screen of 120 columns`() {
        #expect(ConfigurationExample.text.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }
}

@Suite struct `The effective configuration` {
    @Test func `reads as what it was made from`() throws {
        let configuration = try NodeConfiguration.parse(ConfigurationExample.text, path: "example")
        let shown = ConfigurationText.of(configuration)
        #expect(try NodeConfiguration.parse(shown, path: "shown") == configuration)
        #expect(ConfigurationText.of(try NodeConfiguration.parse(shown, path: "shown")) == shown)
    }

    @Test func `of an almost empty file has every default written out`() throws {
        let shown = ConfigurationText.of(try NodeConfiguration.parse("node: { name: db-1 }", path: "test"))
        #expect(shown.contains("  state: /var/lib/nodeguard\n"))
        #expect(shown.contains("    idle-timeout: off\n"))
        #expect(shown.contains("  listeners: []\n") && shown.contains("  tunnels: []\n"))
        #expect(shown.contains("  mode: 0666\n"))
        #expect(try NodeConfiguration.parse(shown, path: "shown").node.name == "db-1")
    }

    @Test(arguments: [
        "a b", "#a", "- a", "a: b", "\"", "\\", "ä", "'", "&a", "*a", "!a", "{a", "%a", "@a", "`", "a\tb",
    ])
    func `keeps values that YAML would take for something else`(value: String) throws {
        let text = "log: { level: \(ConfigurationText.scalar(value)) }"
        #expect(mistakes(text).first?.contains("'\(value)' is no log level") == true, "\(mistakes(text))")
    }
}

@Suite struct `Reading a configuration file` {
    private func file(_ bytes: [UInt8]) throws -> String {
        let path = NSTemporaryDirectory() + "nodeguard-\(UUID().uuidString).yaml"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func said(_ path: String) -> String? {
        do { _ = try NodeConfiguration.read(path) } catch { return error.description }
        return nil
    }

    @Test func `names the file in each line`() throws {
        let path = try file(Array("node: { name: a }\nlog: { levl: a }\naudits: {}".utf8))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(
            said(path) == """
                \(path):2:8: unknown key 'levl'; did you mean 'level'?
                \(path):3:1: unknown key 'audits'; did you mean 'audit'?
                """)
    }

    @Test func `refuses what is no text, too large or not there`() throws {
        let binary = try file([0xFF, 0xFE, 0x00])
        let large = try file(Array(repeating: UInt8(ascii: "#"), count: NodeConfiguration.sizeLimit + 1))
        defer { for path in [binary, large] { try? FileManager.default.removeItem(atPath: path) } }
        #expect(said(binary) == "\(binary):1:1: this is not UTF-8 text")
        #expect(said(large)?.contains("cannot read it: ") == true)
        let absent = said("/nonexistent/nodeguard.yaml")
        #expect(absent?.contains("No such file or directory") == true)
        #expect(absent?.contains("--config, or begin one: nodeguard config example >/nonexistent/") == true)
    }
}

@Suite struct `A suggestion` {
    @Test(arguments: [
        ("lisen", "listen"), ("Listen", "listen"), ("listne", "listen"), ("backup", "backups"), ("lsiten", "listen"),
    ])
    func `is the nearest known word`(word: String, meant: String) {
        #expect(Suggestion.nearest(to: word, among: ["name", "listen", "backups", "protocol"]) == meant)
    }

    @Test(arguments: ["", "x", "completely-different", String(repeating: "a", count: 10_000)])
    func `is not made up`(word: String) {
        #expect(Suggestion.nearest(to: word, among: ["name", "listen", "backups"]) == nil)
        #expect(Suggestion.nearest(to: word, among: []) == nil)
    }
}

extension String {
    /// The key of a rule under `allow`, if it is one of a rule under `deny` or of a group.
    var asOfAllow: String {
        // Those of reserved places are rules, too.
        let rule = "proxy.limits.reserved.identities[]."
        let text = hasPrefix(rule) ? "proxy.listeners[].allow[]." + dropFirst(rule.count) : self
        return text.replacing("deny[]", with: "allow[]").replacing(/\.(all|any)\[\]/, with: "")
    }
}
