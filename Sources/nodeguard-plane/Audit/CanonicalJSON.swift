/// A JSON text in the one form that the audit log hashes: keys sorted by their bytes and unique, no white space, the
/// shortest escapes, UTF-8. Anything else is refused, so that what was verified and what is read later cannot differ.
indirect enum CanonicalJSON: Sendable, Equatable {
    case null
    case boolean(Bool)
    case integer(Int64)
    case number(String)
    case string(String)
    case array([CanonicalJSON])
    case object([Member])

    struct Member: Sendable, Equatable {
        let key: String
        let value: CanonicalJSON
    }

    struct Flaw: Error, Equatable, CustomStringConvertible {
        let description: String
        let offset: Int
    }

    static let depthLimit = 32

    /// An object, its keys in their order.
    init(sorting members: [String: CanonicalJSON]) {
        let sorted = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        self = .object(sorted.map { Member(key: $0.key, value: $0.value) })
    }

    init(_ bytes: some Collection<UInt8>) throws(Flaw) {
        var reader = CanonicalJSONReader(Array(bytes))
        self = try reader.readDocument()
    }

    subscript(key: String) -> CanonicalJSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    var text: String? {
        if case .string(let value) = self { value } else { nil }
    }

    var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// For people: strings without quotes at the top, everything else as JSON.
    var plainText: String {
        if case .string(let value) = self { value.map { $0.isNewline ? " " : String($0) }.joined() } else { jsonText }
    }

    /// The canonical text itself.
    var jsonText: String {
        switch self {
        case .null: "null"
        case .boolean(let value): String(value)
        case .integer(let value): String(value)
        case .number(let value): value
        case .string(let value): Self.quoted(value)
        case .array(let values): "[" + values.map(\.jsonText).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { Self.quoted($0.key) + ":" + $0.value.jsonText }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case "\n": "\\n"
            case "\r": "\\r"
            case "\t": "\\t"
            case "\0"..<" ": "\\u00" + Hex.lower([UInt8(truncatingIfNeeded: scalar.value)])
            default: String(scalar)
            }
        }
        return "\"" + escaped.joined() + "\""
    }
}

/// Reads one canonical document and refuses at the first byte that a canonical writer would not have written.
private struct CanonicalJSONReader {
    private typealias Flaw = CanonicalJSON.Flaw

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func readDocument() throws(CanonicalJSON.Flaw) -> CanonicalJSON {
        let value = try readValue(depth: 0)
        guard position == bytes.count else { throw flaw("something follows the document") }
        return value
    }

    private func flaw(_ what: String) -> CanonicalJSON.Flaw { Flaw(description: what, offset: position) }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func take(_ word: StaticString, as value: CanonicalJSON) throws(CanonicalJSON.Flaw)
        -> CanonicalJSON
    {
        let text = Array("\(word)".utf8)
        guard bytes[position...].starts(with: text) else { throw flaw("this is no JSON value") }
        position += text.count
        return value
    }

    private mutating func readValue(depth: Int) throws(CanonicalJSON.Flaw) -> CanonicalJSON {
        guard depth < CanonicalJSON.depthLimit else { throw flaw("nested too deeply") }
        switch next {
        case UInt8(ascii: "{"): return try readObject(depth: depth)
        case UInt8(ascii: "["): return try readArray(depth: depth)
        case UInt8(ascii: "\""): return .string(try readString())
        case UInt8(ascii: "t"): return try take("true", as: .boolean(true))
        case UInt8(ascii: "f"): return try take("false", as: .boolean(false))
        case UInt8(ascii: "n"): return try take("null", as: .null)
        default: return try readNumber()
        }
    }

    private mutating func readObject(depth: Int) throws(CanonicalJSON.Flaw) -> CanonicalJSON {
        position += 1
        var members: [CanonicalJSON.Member] = []
        if take(UInt8(ascii: "}")) { return .object(members) }
        repeat {
            guard next == UInt8(ascii: "\"") else { throw flaw("a key was expected") }
            let key = try readString()
            if let last = members.last, !last.key.utf8.lexicographicallyPrecedes(key.utf8) {
                throw flaw("the key \(key) is not in its place")
            }
            guard take(UInt8(ascii: ":")) else { throw flaw("a colon was expected") }
            members.append(CanonicalJSON.Member(key: key, value: try readValue(depth: depth + 1)))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw flaw("the object is not closed") }
        return .object(members)
    }

    private mutating func readArray(depth: Int) throws(CanonicalJSON.Flaw) -> CanonicalJSON {
        position += 1
        var values: [CanonicalJSON] = []
        if take(UInt8(ascii: "]")) { return .array(values) }
        repeat {
            values.append(try readValue(depth: depth + 1))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw flaw("the array is not closed") }
        return .array(values)
    }

    private mutating func readString() throws(CanonicalJSON.Flaw) -> String {
        position += 1
        var content: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw flaw("not UTF-8") }
                return text
            case UInt8(ascii: "\\"): content.append(try readEscape())
            case 0..<0x20: throw flaw("a control character is not escaped")
            default: content.append(byte)
            }
        }
        throw flaw("the string is not closed")
    }

    /// `\"`, `\\`, `\n`, `\r`, `\t`, and `\u00xx` in lower case for the other control characters; no other escape is
    /// shortest.
    private mutating func readEscape() throws(CanonicalJSON.Flaw) -> UInt8 {
        guard let byte = next else { throw flaw("the escape is cut off") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): return byte
        case UInt8(ascii: "n"): return 0x0A
        case UInt8(ascii: "r"): return 0x0D
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "u"):
            guard position + 4 <= bytes.count else { throw flaw("the escape is cut off") }
            let digits = String(decoding: bytes[position..<(position + 4)], as: UTF8.self)
            guard let code = UInt8(digits, radix: 16), code < 0x20, ![0x09, 0x0A, 0x0D].contains(code),
                digits == (code < 0x10 ? "000" : "00") + String(code, radix: 16)
            else { throw flaw("the escape \\u\(digits) is not the shortest form") }
            position += 4
            return code
        default: throw flaw("an unknown escape")
        }
    }

    private mutating func readNumber() throws(CanonicalJSON.Flaw) -> CanonicalJSON {
        let isPart: (UInt8) -> Bool = { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
                UInt8(ascii: "e"):
                true
            default: false
            }
        }
        let end = bytes[position...].firstIndex { !isPart($0) } ?? bytes.count
        let token = String(decoding: bytes[position..<end], as: UTF8.self)
        if let integer = Int64(token), String(integer) == token {
            position = end
            return .integer(integer)
        }
        guard let number = Double(token), number.isFinite, "\(number)" == token else {
            throw flaw("this is no JSON value, or a number that is not in its shortest form")
        }
        position = end
        return .number(token)
    }
}
