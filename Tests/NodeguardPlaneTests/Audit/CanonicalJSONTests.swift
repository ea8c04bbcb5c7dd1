import Testing

@testable import nodeguard_plane

@Suite struct `Canonical JSON` {
    @Test(arguments: [
        "{}", "[]", "null", "true", "false", "0", "-1", "9223372036854775807", "1.5", #""""#, #""ü€𝄞""#,
        #"{"":0,"a":[1,{"b":null}],"aa":"","b":{}}"#, #""\"\\\n\r\t\u0000\u001f""#, #"{"a/b":"/"}"#,
        "\"\u{7F}\u{2028}\"",
        #"{"Z":1,"a":2,"é":3}"#,
    ])
    func `takes the one form`(text: String) throws {
        _ = try CanonicalJSON(Array(text.utf8))
    }

    @Test(arguments: [
        "", " {}", "{} ", "{}{}", "{ }", #"{"a" :1}"#, #"{"a":1,}"#, #"{"b":1,"a":2}"#, #"{"a":1,"a":1}"#, #"{"a"}"#,
        "{a:1}", "[1, 2]", "[1,]", "[", "{", #"{"a":"#, #"""#, #""\"#, #""\u00"#, "01", "-0", "+1", "1e3", "1.50", "1.",
        ".5", "--1", "NaN", "tru", "True", "nulls", #""\u0041""#, #""\u000A""#, #""\u000a""#, #""\/""#, #""\b""#,
        #""\u001F""#, "\"\n\"", #"{"é":1,"a":2}"#, "9223372036854775808", "1e400",
    ])
    func `refuses every other`(text: String) {
        #expect(throws: CanonicalJSON.Flaw.self) { try CanonicalJSON(Array(text.utf8)) }
    }

    @Test func `refuses what is not UTF-8, and what is nested without end`() {
        #expect(throws: CanonicalJSON.Flaw.self) { try CanonicalJSON([0x22, 0xC3, 0x22]) }
        #expect(throws: CanonicalJSON.Flaw.self) { try CanonicalJSON([0x22, 0xED, 0xA0, 0x80, 0x22]) }
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        #expect(throws: CanonicalJSON.Flaw.self) { try CanonicalJSON(deep) }
    }

    @Test func `gives back what it read`() throws {
        let value = try CanonicalJSON(Array(#"{"list":[1,"x"],"name":"a\nb","seq":7}"#.utf8))
        #expect(value["seq"]?.integer == 7 && value["name"]?.text == "a\nb" && value["none"] == nil)
        #expect(value["name"]?.plainText == "a b" && value["list"]?.plainText == #"[1,"x"]"#)
    }
}
