/// One value of a JSON text (RFC 8259), and where it stands in it.
///
/// Read without any latitude: no member twice, nothing behind the end, whole numbers only, bounded depth. Whatever is
/// read differently by two readers is refused by this one.
package struct JSONNode: Sendable {
    package indirect enum Content: Sendable {
        case null
        case boolean(Bool)
        case integer(Int64)
        case text(String)
        case list([JSONNode])
        case object([(name: String, value: JSONNode)])
    }

    package let content: Content
    /// In bytes, from 0.
    package let offset: Int

    /// Values within values.
    package static let depthLimit = 16

    package init(reading bytes: [UInt8]) throws(JSONFlaw) {
        var reader = JSONReader(bytes)
        self = try reader.document()
    }

    init(_ content: Content, at offset: Int) {
        self.content = content
        self.offset = offset
    }
}

/// Why a text is not the JSON that it should be, and where.
package struct JSONFlaw: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    /// In bytes, from 0.
    package let offset: Int

    package init(_ description: String, at offset: Int) {
        self.description = description
        self.offset = offset
    }

    /// From 1, as editors count.
    package func place(in bytes: [UInt8]) -> (line: Int, column: Int) {
        let before = bytes.prefix(offset)
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return (before.count { $0 == UInt8(ascii: "\n") } + 1, offset - start + 1)
    }
}

private struct JSONReader {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONFlaw) -> JSONNode {
        let node = try value(depth: 0)
        skipSpace()
        if index < bytes.count { throw JSONFlaw("something follows the end of the JSON text", at: index) }
        return node
    }

    private mutating func value(depth: Int) throws(JSONFlaw) -> JSONNode {
        skipSpace()
        let start = index
        guard index < bytes.count else { throw JSONFlaw("the JSON text ends too early", at: index) }
        guard depth < JSONNode.depthLimit else {
            throw JSONFlaw("values are nested more than \(JSONNode.depthLimit) levels deep", at: index)
        }
        switch bytes[index] {
        case UInt8(ascii: "{"): return JSONNode(.object(try members(depth)), at: start)
        case UInt8(ascii: "["): return JSONNode(.list(try items(depth)), at: start)
        case UInt8(ascii: "\""): return JSONNode(.text(try text()), at: start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return JSONNode(.integer(try integer()), at: start)
        default: return JSONNode(try word(), at: start)
        }
    }

    private mutating func members(_ depth: Int) throws(JSONFlaw) -> [(name: String, value: JSONNode)] {
        index += 1
        var members: [(name: String, value: JSONNode)] = []
        var names: Set<String> = []
        if take("}") { return [] }
        while true {
            skipSpace()
            let start = index
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
                throw JSONFlaw("a member's name is missing", at: index)
            }
            let name = try text()
            // Names that are canonically equivalent are one to Swift: two of them are refused too.
            guard names.insert(name).inserted else {
                throw JSONFlaw("'\(name.prefix(64))' is there twice", at: start)
            }
            guard take(":") else { throw JSONFlaw("':' is missing", at: index) }
            members.append((name, try value(depth: depth + 1)))
            if take("}") { return members }
            guard take(",") else { throw JSONFlaw("',' or '}' is missing", at: index) }
        }
    }

    private mutating func items(_ depth: Int) throws(JSONFlaw) -> [JSONNode] {
        index += 1
        var items: [JSONNode] = []
        if take("]") { return [] }
        while true {
            items.append(try value(depth: depth + 1))
            if take("]") { return items }
            guard take(",") else { throw JSONFlaw("',' or ']' is missing", at: index) }
        }
    }

    private mutating func integer() throws(JSONFlaw) -> Int64 {
        let start = index
        while index < bytes.count, "+-.eE0123456789".utf8.contains(bytes[index]) { index += 1 }
        let digits = String(decoding: bytes[start..<index], as: UTF8.self)
        // One form only: no zero in front, no fraction, no exponent.
        guard let number = Int64(digits), String(number) == digits else {
            throw JSONFlaw("'\(digits.prefix(32))' is no whole number", at: start)
        }
        return number
    }

    private mutating func word() throws(JSONFlaw) -> JSONNode.Content {
        let start = index
        while index < bytes.count, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(bytes[index]) { index += 1 }
        switch String(decoding: bytes[start..<index], as: UTF8.self) {
        case "null": return .null
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        default: throw JSONFlaw("this is no JSON value", at: start)
        }
    }

    private mutating func text() throws(JSONFlaw) -> String {
        let start = index
        index += 1
        var scalars: [UInt8] = []
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                guard let text = String(validating: scalars, as: UTF8.self) else {
                    throw JSONFlaw("a text is not UTF-8", at: start)
                }
                return text
            case UInt8(ascii: "\\"): scalars += String(try escaped()).utf8
            case 0..<0x20: throw JSONFlaw("a text has a control character", at: index)
            default:
                scalars.append(byte)
                index += 1
            }
        }
        throw JSONFlaw("a text does not end", at: start)
    }

    private static let escapes: [UInt8: Unicode.Scalar] = [
        UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/", UInt8(ascii: "b"): "\u{8}",
        UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n", UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
    ]

    private mutating func escaped() throws(JSONFlaw) -> Unicode.Scalar {
        let start = index
        index += 1
        guard index < bytes.count else { throw JSONFlaw("a text does not end", at: start) }
        if let scalar = Self.escapes[bytes[index]] {
            index += 1
            return scalar
        }
        guard let high = hexadecimal() else { throw JSONFlaw("an escape is none", at: start) }
        if let scalar = Unicode.Scalar(high) { return scalar }
        // A character beyond 16 bits, as two halves (RFC 8259 §7).
        guard index < bytes.count, bytes[index] == UInt8(ascii: "\\") else {
            throw JSONFlaw("half of a character is missing", at: start)
        }
        index += 1
        guard (0xD800..<0xDC00).contains(high), let low = hexadecimal(), (0xDC00..<0xE000).contains(low),
            let scalar = Unicode.Scalar(0x1_0000 + UInt32(high - 0xD800) << 10 + UInt32(low - 0xDC00))
        else { throw JSONFlaw("half of a character is missing", at: start) }
        return scalar
    }

    /// `uXXXX`.
    private mutating func hexadecimal() -> UInt16? {
        guard index + 5 <= bytes.count, bytes[index] == UInt8(ascii: "u") else { return nil }
        let digits = bytes[(index + 1)..<(index + 5)]
        guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        index += 5
        return UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    }

    private mutating func take(_ mark: Unicode.Scalar) -> Bool {
        skipSpace()
        guard index < bytes.count, bytes[index] == UInt8(ascii: mark) else { return false }
        index += 1
        return true
    }

    private mutating func skipSpace() {
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
    }
}
