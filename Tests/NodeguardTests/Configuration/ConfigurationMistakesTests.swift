import Testing

@testable import nodeguard

/// What is wrong with a text, as `line:column: text`.
func mistakes(_ text: String) -> [String] {
    let reading = ConfigurationReading()
    _ = NodeConfiguration.read(text, reading)
    return reading.mistakes.map { "\($0.position.line):\($0.position.column): \($0.text)" }
}

@Suite struct `A configuration's mistakes` {
    private static let whole = """
        node: { name: db-1, state: /tmp/state }
        management: { url: "https://plane:8443" }
        certificates:
          roles: [ { name: database, names: [localhost] } ]
        proxy:
          listeners:
            - name: ysql
              listen: ["127.0.0.1:5433"]
              protocol: postgres
              backend: 127.0.0.1:5432
              certificate: database
              trust: [cluster]
              allow: [ { uri: "spiffe://a/app/*" } ]
        """

    @Test func `are none in a right one`() {
        #expect(mistakes(Self.whole) == [])
    }

    @Test func `come all at once, each at its place, with what was meant`() {
        let wrong = Self.whole
            .replacing("listen: [", with: "lisen: [").replacing("protocol: postgres", with: "protocol: postgers")
            .replacing("certificates:", with: "certificate:").replacing("name: db-1", with: "nmae: db-1")
        #expect(
            mistakes(wrong) == [
                "1:9: unknown key 'nmae'; did you mean 'name'?",
                "3:1: unknown key 'certificate'; did you mean 'certificates'?",
                "8:7: unknown key 'lisen'; did you mean 'listen'?",
                "9:17: 'postgers' is no protocol; did you mean 'postgres'?",
                "11:20: there is no role 'database' under 'certificates'",
            ])
    }

    @Test func `name what is missing once, where it should be`() {
        #expect(
            mistakes("proxy: { listeners: [ { name: a } ] }") == [
                "1:23: 'backend' is missing", "1:23: 'certificate' is missing", "1:23: 'listen' is missing",
                "1:23: 'protocol' is missing", "1:23: 'trust' is missing",
            ])
        #expect(mistakes("management: { join: /a }") == ["1:13: 'url' is missing"])
        #expect(
            mistakes("backups: { targets: [ { nam: a, url: file:///b } ] }") == [
                "1:25: unknown key 'nam'; did you mean 'name'?"
            ])
    }

    @Test func `name keys that are there twice, all of them, with the first place`() {
        #expect(
            mistakes(
                "log: { level: info, level: debug }\naudit:\n  spool: { limit: 1GiB }\n  spool: { limit: x }\nlog: {}")
                == [
                    "1:21: the key 'level' is there already, in line 1",
                    "4:3: the key 'spool' is there already, in line 3",
                    "5:1: the key 'log' is there already, in line 1",
                ])
        #expect(mistakes("log: { \"level\": info, level: a, 'level': b }").count == 2)
        #expect(mistakes("? \"a\\tb\"\n: 1\n? \"a\\tb\"\n: 2\n")[0].contains("there twice"))
    }

    @Test(arguments: [
        ("log: &x { level: info }", "1:6: anchors and aliases are not allowed: write the value out"),
        ("log: { level: !!str info }", "1:15: tags are not allowed: every value is read as text"),
        ("log: { level: !special info }", "1:15: tags are not allowed: every value is read as text"),
        ("log: { !!str level: info }", "1:8: tags are not allowed: every value is read as text"),
        ("node: { name: &n a, cluster: *n }", "1:15: anchors and aliases are not allowed: write the value out"),
    ])
    func `name anchors, aliases and tags`(text: String, mistake: String) {
        #expect(mistakes(text) == [mistake])
    }

    @Test(arguments: [
        ("", "1:1: the configuration is empty"), ("# nothing\n", "1:1: the configuration is empty"),
        ("- a\n", "1:1: the configuration must be a section, not a list"),
        ("word", "1:1: the configuration must be a section, not the text 'word'"),
        ("log: info", "1:6: 'log' must be a section, not the text 'info'"),
        ("log:", "1:5: 'log' must be a section, not nothing"),
        ("log: [a]", "1:6: 'log' must be a section, not a list"),
        ("log: { level: [info] }", "1:15: 'level' must be one value, not a list"),
        ("log: { level: {} }", "1:15: 'level' must be one value, not a section"),
        ("log: { level: }", "1:15: 'level' has no value"),
        ("log: { level: '' }", "1:15: 'level' has no value"),
        ("backups: { targets: { name: a } }", "1:21: 'targets' must be a list of sections, not a section"),
        ("backups: { targets: [ a ] }", "1:23: each of 'targets' must be a section, not the text 'a'"),
        ("log: { [a]: b }", "1:8: a key must be text"),
        ("a: { b: c }\r\nlog: {}", "1:1: unknown key 'a'"),
        ("log: {}\u{2028}", "1:8: a line may end with a newline only"),
        ("log: {}\rnode: {}", "1:8: a line may end with a newline only"),
    ])
    func `name wrong shapes`(text: String, mistake: String) {
        #expect(mistakes(text).contains { $0.hasPrefix(mistake) }, "\(mistakes(text))")
    }

    @Test(arguments: [
        ("log: { level: info", 2), ("log: [a\nnode: b", 2), ("a: b: c", 1), ("\tlog: {}", 1), ("log: *nobody", 1),
        ("log: {}\n---\nlog: {}", 2), ("log: \"\\q\"", 1), ("log: {}\u{0}", 1), ("%YAML 9.9\n---\na: b", 1),
    ])
    func `name what is not YAML, and where`(text: String, line: Int) {
        let found = mistakes(text)
        #expect(found.count == 1)
        #expect(found.first?.contains("this is not YAML: ") == true, "\(found)")
        #expect(found.first?.hasPrefix("\(line):") == true, "\(found)")
    }

    @Test func `stay bounded in deep and long texts`() {
        let deep = String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
        #expect(mistakes("log: " + deep).contains { $0.contains("levels deep") })
        #expect(mistakes("log: " + String(repeating: "[", count: 100_000)).count == 1)
        let long = Array(repeating: "{ name: a, url: 'file:///b' }", count: 1025).joined(separator: ",")
        #expect(mistakes("backups: { targets: [\(long)] }").contains { $0.contains("more than 1024 values") })
    }

    @Test func `know what only a later version supports`() {
        let text = """
            preset: yugabytedb
            audit: { sources: [], redact: secrets, spool: { when-full: { statements: block } } }
            status: { allow: [], tcp-metrics: off }
            backups: { targets: [ { name: a, url: "gs://bucket/x", keep: { count: 7 } } ] }
            """
        let found = mistakes(text)
        #expect(found.count == 8)
        #expect(found.allSatisfy { $0.contains("not supported by this version") }, "\(found)")
    }
}
