/// A JSON document as a value, with one canonical text: keys sorted by their UTF-8 bytes, no white space, the shortest
/// escapes. The audit log hashes this text, so its form must never change.
package enum JSONValue: Sendable, Equatable {
    case null
    case boolean(Bool)
    case integer(Int64)
    /// Finite only; audit events carry integers, so that no two writers can differ about digits.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// The canonical text.
    package var text: String {
        var out: [UInt8] = []
        write(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the canonical text.
    package func write(to out: inout [UInt8]) {
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .boolean(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): out.append(contentsOf: String(value).utf8)
        case .number(let value): out.append(contentsOf: (value.isFinite ? String(value) : "null").utf8)
        case .string(let value): Self.write(value, to: &out)
        case .array(let values):
            out.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                value.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            Self.write(AuditFields(members), to: &out) { $0.write(to: &$1) }
        }
    }

    /// Appends an object whose values `write` writes.
    package static func write(
        _ members: AuditFields, to out: inout [UInt8], _ write: (JSONValue, inout [UInt8]) -> Void
    ) {
        out.append(UInt8(ascii: "{"))
        var isFirst = true
        for (key, value) in members {
            if !isFirst { out.append(UInt8(ascii: ",")) }
            isFirst = false
            Self.write(key, to: &out)
            out.append(UInt8(ascii: ":"))
            write(value, &out)
        }
        out.append(UInt8(ascii: "}"))
    }

    /// Appends a text with its quotation marks.
    package static func write(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        let start = out.count
        out.append(contentsOf: text.utf8)
        // Nearly every text is its own form.
        if mustEscape(out, from: start) { escape(&out, from: start) }
        out.append(UInt8(ascii: "\""))
    }

    private static func mustEscape(_ bytes: [UInt8], from start: Int) -> Bool {
        for index in start..<bytes.count {
            let byte = bytes[index]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return true }
        }
        return false
    }

    private static func escape(_ out: inout [UInt8], from start: Int) {
        let plain = Array(out[start...])
        out.removeSubrange(start...)
        for byte in plain {
            switch byte {
            case UInt8(ascii: "\""): out.append(contentsOf: "\\\"".utf8)
            case UInt8(ascii: "\\"): out.append(contentsOf: "\\\\".utf8)
            case UInt8(ascii: "\n"): out.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): out.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"): out.append(contentsOf: "\\t".utf8)
            case 0..<0x20: out.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
            default: out.append(byte)
            }
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .boolean(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }

    /// `integer` for a count of any width.
    package static func count(_ value: some BinaryInteger) -> JSONValue { .integer(Int64(clamping: value)) }
    package static func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
}
