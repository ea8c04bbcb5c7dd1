import Testing

@testable import Reports

/// The audit log hashes these texts, and logs of years ago must verify: what is written is compared with the plainest
/// way to write it, which is how it was first written.
@Suite struct `The canonical form of JSON` {
    @Test func `of any value is the one of ever`() {
        var generator = Seeded(state: 7)
        for _ in 0..<5000 {
            let value = any(depth: 3, &generator)
            #expect(value.text == plain(value))
        }
    }

    @Test func `of each character is the one of ever, wherever it stands`() {
        let scalars = (0..<0x300).compactMap(Unicode.Scalar.init) + ["\u{2028}", "\u{FFFD}", "\u{1F600}", "\u{E000}"]
        for scalar in scalars {
            for text in ["\(scalar)", "a\(scalar)", "\(scalar)a", "\"\(scalar)\\"] {
                #expect(JSONValue.string(text).text == plain(.string(text)))
            }
        }
    }

    @Test func `of a moment has all its digits`() {
        for (nanoseconds, precise, whole) in [
            (0, "1970-01-01T00:00:00.000000Z", "1970-01-01T00:00:00Z"),
            (999, "1970-01-01T00:00:00.000000Z", "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59Z"),
            (1_795_472_542_005_023_456, "2026-11-23T22:22:22.005023Z", "2026-11-23T22:22:22Z"),
            (.max, "2262-04-11T23:47:16.854775Z", "2262-04-11T23:47:16Z"),
            (.min + 1_000_000_000, "1677-09-21T00:12:44.145224Z", "1677-09-21T00:12:44Z"),
        ] as [(Int64, String, String)] {
            let time = Timestamp(nanoseconds: nanoseconds)
            #expect(time.precise == precise)
            #expect(time.description == whole)
        }
    }

    // MARK: The plainest way

    private func plain(_ value: JSONValue) -> String {
        switch value {
        case .null: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .number(let value): return value.isFinite ? String(value) : "null"
        case .string(let value): return quoted(value)
        case .array(let values): return "[" + values.map(plain).joined(separator: ",") + "]"
        case .object(let members):
            let keys = members.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            return "{" + keys.map { quoted($0) + ":" + plain(members[$0] ?? .null) }.joined(separator: ",") + "}"
        }
    }

    private func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    private func any(depth: Int, _ generator: inout Seeded) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
        case 0: .null
        case 1: .boolean(.random(using: &generator))
        case 2: .integer(.random(in: .min ... .max, using: &generator))
        case 3: .number(.random(in: -1e9...1e9, using: &generator))
        case 6: .array((0..<Int.random(in: 0..<5, using: &generator)).map { _ in any(depth: depth - 1, &generator) })
        case 7:
            .object(
                Dictionary(
                    (0..<Int.random(in: 0..<9, using: &generator)).map { _ in
                        (text(&generator), any(depth: depth - 1, &generator))
                    }, uniquingKeysWith: { $1 }))
        default: .string(text(&generator))
        }
    }

    /// Often of what must be escaped, and of keys that begin alike.
    private func text(_ generator: inout Seeded) -> String {
        let parts = [
            "a", "ab", "peer.", "é", "e\u{301}", "\u{1F600}", "\"", "\\", "\n", "\u{0}", "\u{1F}", "\u{7F}", " ", "ü",
        ]
        return (0..<Int.random(in: 0..<6, using: &generator))
            .compactMap { _ in parts.randomElement(using: &generator) }.joined()
    }
}

/// Marsaglia's xorshift: the same values each time.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
