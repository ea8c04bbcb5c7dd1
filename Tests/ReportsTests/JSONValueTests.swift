import Reports
import Testing

@Suite struct `The canonical JSON text` {
    @Test func `sorts keys by their UTF-8 bytes and leaves no white space`() {
        let value: JSONValue = ["b": 1, "a": ["z": .null, "Z": true], "é": 3, "aa": .array([1, "two", false])]
        #expect(value.text == #"{"a":{"Z":true,"z":null},"aa":[1,"two",false],"b":1,"é":3}"#)
    }

    @Test func `escapes as little as JSON allows`() {
        let value = JSONValue.string("\"\\/\n\r\t\u{8}\u{1F}\u{7F}é😀\u{2028}")
        #expect(value.text == #""\"\\/\n\r\t\u0008\u001f"# + "\u{7F}é😀\u{2028}\"")
    }

    @Test func `has one form for each number`() {
        #expect(
            JSONValue.array([.integer(.min), .integer(.max), .number(0.5), .number(.infinity)]).text
                == "[-9223372036854775808,9223372036854775807,0.5,null]")
        #expect(JSONValue.count(UInt64.max) == .integer(.max))
    }

    @Test func `writes what is empty`() {
        #expect(JSONValue.object([:]).text == "{}")
        #expect(JSONValue.array([]).text == "[]")
        #expect(JSONValue.string("").text == #""""#)
    }
}
