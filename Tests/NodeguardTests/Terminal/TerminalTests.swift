import Reports
import Testing

@testable import nodeguard

@Suite struct `A table` {
    private func table(_ rows: [[String]]) -> TextTable {
        var table = TextTable(columns: [.init(title: "A"), .init(title: "NUMBER", isNumber: true), .init(title: "C")])
        table.rows = rows
        return table
    }

    @Test func `lines up, numbers to the right`() {
        #expect(
            table([["x", "1", "one"], ["long", "1000", ""]]).lines(width: 80) == [
                "  A     NUMBER  C", "  x          1  one", "  long    1000",
            ])
    }

    @Test func `leaves out what no row has, and is nothing without rows`() {
        #expect(table([["x", "", "y"]]).lines(width: 80) == ["  A  C", "  x  y"])
        #expect(table([]).lines(width: 80) == [])
    }

    @Test(arguments: 8...60)
    func `fits any width`(width: Int) {
        let rows = [[String(repeating: "a", count: 50), "12345", String(repeating: "c", count: 9)]]
        #expect(table(rows).lines(width: width).allSatisfy { $0.count <= width })
    }

    @Test(arguments: 10...40)
    func `has wrapped text that keeps every letter`(width: Int) {
        let text = "what is to be done is \(String(repeating: "x", count: 70)) and then more"
        let lines = TextTable.wrapped(text, width: width, indent: 3)
        #expect(lines.allSatisfy { $0.count <= width && $0.hasPrefix("   ") })
        #expect(lines.joined().filter { $0 != " " } == text.filter { $0 != " " })
    }
}

@Suite struct `Measures for people` {
    @Test(arguments: [
        (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (7384, "2 h 3 min"),
        (36_060, "10 h"), (172_799, "47 h"), (172_800, "2 d"), (180_000, "2 d 2 h"), (8_640_000, "100 d"),
        (-60, "60 s"),
    ])
    func `of time have two figures`(seconds: Int64, text: String) { #expect(Measures.span(seconds) == text) }

    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1_048_576, "1 MiB"),
        (123_456_789, "118 MiB"), (5e12, "4.5 TiB"), (5e15, "4548 TiB"),
    ])
    func `of bytes are binary`(count: Double, text: String) { #expect(Measures.bytes(count) == text) }

    @Test(arguments: [(0, "0%"), (0.001, "<1%"), (0.034, "3%"), (1, "100%")])
    func `of load say when it is little but not nothing`(share: Double, text: String) {
        #expect(Measures.percent(share) == text)
    }

    @Test(arguments: [0, 951_782_400, 1_709_164_800, 1_800_000_000, 4_102_444_799, 4_107_542_400] as [Int64])
    func `of the calendar read what the daemon writes`(seconds: Int64) {
        #expect(Measures.seconds(Timestamp(seconds: seconds).description) == seconds)
        #expect(Measures.seconds(Timestamp(seconds: seconds).precise) == seconds)
    }

    @Test(arguments: ["", "2026-11-24", "2026-13-24T00:00:00Z", "2026-11-24T00:00:00+01:00", "now"])
    func `of the calendar are nothing for anything else`(text: String) { #expect(Measures.seconds(text) == nil) }
}

@Suite struct `JSON of the daemon` {
    @Test func `is read as it was written`() {
        let value: JSONValue = [
            "a": [1, .number(2.5), true, .null, "x\n\"ü"], "b": ["c": [:]], "d": .integer(.max), "e": .integer(.min),
        ]
        #expect(ReadJSON.parse(Array(value.text.utf8)) == value)
    }

    @Test(arguments: ["", "{", "{\"a\":}", "nothing", "\u{0}"])
    func `is nothing when it is none`(text: String) { #expect(ReadJSON.parse(Array(text.utf8)) == nil) }

    @Test func `has members only where they are`() {
        let value: JSONValue = ["a": .null, "b": ["c": 1], "n": ["x": 1, "y": .number(2.5), "z": "no"]]
        #expect(value["a"] == nil)
        #expect(value["b"]?["c"]?.number == 1)
        #expect(value["b"]?["c"]?["d"] == nil)
        #expect(value["n"]?.total == 3.5)
        #expect(value["b"]?.items == [])
    }
}
