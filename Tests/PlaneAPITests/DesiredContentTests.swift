import Foundation
import PlaneAPI
import Testing

@Suite struct `The file of a desired state` {
    static let whole = """
        {
          "min_agent": "0.1.0",
          "deny": [
            { "serial": "0A:1B", "issuer": "CN=x,O=y" }, { "uri": "spiffe://a/app/shop" },
            { "spki": "sha256:\(String(repeating: "0a", count: 32))" }, { "common-name": "ren\\u00e9 \\ud83d\\ude00" }
          ],
          "listeners": {
            "ysql": {
              "allow": [ { "uri": ["spiffe://a/*", "spiffe://b/*"], "database-user": "app" } ],
              "deny": [ { "any": [ { "dns": "a" }, { "all": [ { "email": "b" }, { "ip": "10.0.0.1" } ] } ] } ]
            },
            "closed": { "allow": [] }
          },
          "roles": { "database": { "dns": ["db"], "addresses": ["127.0.0.1"], "uris": "spiffe://a/db" } },
          "reissue": [ { "id": "2026-11-30", "role": "database" } ]
        }
        """

    private func read(_ text: String) throws -> DesiredContent { try DesiredContent(reading: Array(text.utf8)) }

    @Test func `is read as it is written, and written as it is read`() throws {
        let content = try read(Self.whole)
        #expect(content.deny.map(\.line).prefix(2) == ["serial 0A:1B CN=x,O=y", "uri spiffe://a/app/shop"])
        #expect(content.deny.last?.value == "ren\u{E9} \u{1F600}")
        #expect(content.listeners["ysql"]?.allow.first?.first?.values["database-user"] == ["app"])
        #expect(content.listeners["closed"]?.allow == [[]])
        #expect(content.roles["database"]?.uris == ["spiffe://a/db"])
        let written = try JSONEncoder.plane.encode(content)
        #expect(try DesiredContent(reading: Array(written)) == content)
        #expect(try read("{}") == DesiredContent())
    }

    @Test func `is refused with a word about what is wrong, and where`() throws {
        let wrong: [(text: String, word: String, place: String)] = [
            ("", "ends too early", "1:1"), ("[]", "must be an object", "1:1"), ("{} {}", "follows the end", "1:4"),
            ("{\n  \"dney\": []\n}", "unknown member 'dney'", "2:11"),
            (#"{"deny":[],"deny":[]}"#, "there twice", "1:12"), (#"{"deny":{}}"#, "must be a list", "1:9"),
            (#"{"deny":[{}]}"#, "needs one of", "1:10"), (#"{"deny":[{"uri":"a","dns":"b"}]}"#, "needs one of", "1:10"),
            (#"{"deny":[{"serial":"0A"}]}"#, "counts with its issuer", "1:10"),
            (#"{"deny":[{"uri":"a","issuer":"b"}]}"#, "counts with its issuer", "1:10"),
            (#"{"deny":[{"serial":"xyz","issuer":"b"}]}"#, "no hexadecimal serial", "1:10"),
            (#"{"deny":[{"spki":"sha256:00"}]}"#, "64 hexadecimal digits", "1:10"),
            (#"{"deny":[{"uri":"a\nb"}]}"#, "control characters", "1:17"),
            (#"{"deny":[{"uri":""}]}"#, "1 to 2048 bytes", "1:17"),
            (#"{"deny":[{"uri":7}]}"#, "must be a text", "1:17"),
            (#"{"listeners":{"a/b":{}}}"#, "is no name", "1:21"), (#"{"listeners":[]}"#, "must be an object", "1:14"),
            (#"{"listeners":{"a":{"allow":[{}]}}}"#, "names nobody", "1:29"),
            (#"{"listeners":{"a":{"alow":[]}}}"#, "listeners.a.alow", "1:27"),
            (#"{"listeners":{"a":{"deny":[{"serial":"0A"}]}}}"#, "counts with its issuer", "1:28"),
            (#"{"listeners":{"a":{"deny":[{"replication":"maybe","dns":"a"}]}}}"#, "yes, no or only", "1:28"),
            (#"{"listeners":{"a":{"deny":[{"replication":"yes"}]}}}"#, "names nobody", "1:28"),
            (#"{"listeners":{"a":{"deny":[{"all":[]}]}}}"#, "empty", "1:28"),
            (#"{"listeners":{"a":{"deny":[{"dns":[]}]}}}"#, "needs a value", "1:28"),
            (#"{"roles":{"a":{}}}"#, "needs a name", "1:15"),
            (#"{"reissue":[{"id":"a"}]}"#, "'reissue[0].role' is missing", "1:13"),
            (#"{"reissue":[{"id":"a/b","role":"a"}]}"#, "are names", "1:13"),
            (#"{"reissue":[{"id":"a","role":"a"},{"id":"a","role":"b"}]}"#, "there twice", "1:35"),
            (#"{"min_agent":"new"}"#, "no version", "1:1"), (#"{"min_agent":1.5}"#, "no whole number", "1:14"),
            (#"{"deny":[1,]}"#, "no JSON value", "1:12"), (#"{"deny" []}"#, "':' is missing", "1:9"),
            (#"{"deny":[{"uri":"\ud83d"}]}"#, "half of a character", "1:18"),
            (#"{"deny":[{"uri":"\x"}]}"#, "escape is none", "1:18"),
            (#"{"deny":[{"uri":"a"#, "does not end", "1:17"), ("{\"a\u{1}\":1}", "control character", "1:4"),
            (String(repeating: "[", count: 20), "nested more than 16", "1:17"),
        ]
        for (text, word, place) in wrong {
            do {
                _ = try read(text)
                Issue.record("read: \(text)")
            } catch let flaw as JSONFlaw {
                let (line, column) = flaw.place(in: Array(text.utf8))
                #expect(flaw.description.contains(word), "\(text): \(flaw)")
                #expect("\(line):\(column)" == place, "\(text): \(flaw)")
            }
        }
    }

    @Test func `is refused if it is not UTF-8, or two names are one to Unicode`() {
        #expect(throws: JSONFlaw.self) { try DesiredContent(reading: Array("{\"".utf8) + [0xFF] + Array("\":1}".utf8)) }
        let names = "{\"roles\":{\"\u{E9}\":{},\"e\u{301}\":{}}}"
        #expect(throws: JSONFlaw("'e\u{301}' is there twice", at: 18)) { try read(names) }
    }

    @Test func `of a node takes away beside that of its cluster, and never less`() throws {
        let common = try read(Self.whole)
        let own = try read(
            """
            { "min_agent": "0.2.0", "deny": [ { "dns": "x" }, { "uri": "spiffe://a/app/shop" } ],
              "listeners": { "ysql": { "allow": [ { "dns": "y" } ] }, "more": { "deny": [ { "dns": "z" } ] } },
              "roles": { "database": { "dns": "own" } },
              "reissue": [ { "id": "2026-11-30", "role": "x" }, { "id": "n", "role": "y" } ] }
            """)
        let both = common.joined(with: own)
        #expect(both.minAgent == "0.2.0" && both.deny.count == common.deny.count + 1)
        #expect(both.listeners["ysql"]?.allow.count == 2 && both.listeners["ysql"]?.deny.count == 1)
        #expect(both.listeners["closed"]?.allow == [[]] && both.listeners["more"] != nil)
        #expect(both.roles["database"]?.dns == ["own"])
        #expect(both.reissue.map(\.id) == ["2026-11-30", "n"] && both.reissue.first?.role == "database")
        let written = try JSONEncoder.plane.encode(both)
        #expect(try DesiredContent(reading: Array(written)) == both)
        #expect(common.joined(with: DesiredContent()) == common)
    }

    @Test func `compares versions by their numbers`() {
        let sorted = ["0.9.10", "0.10.0", "1.0.0-rc1", "1.0.1+x"].compactMap { AgentVersion($0) }
        #expect(sorted.count == 4 && sorted == sorted.sorted())
        for text in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.", "-1.2.3", "1..2", "+1.2.3"] {
            #expect(AgentVersion(text) == nil, "\(text)")
        }
    }
}
