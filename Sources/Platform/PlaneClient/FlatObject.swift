/// Where the texts of one JSON object stand, for an answer that holds a secret: nothing of it is copied until somebody
/// asks for a member.
///
/// Exact (RFC 8259): one object and nothing beside it, no member twice. Members that are no text are passed over, so
/// that a plane may say more than we know.
struct FlatObject {
    /// Nesting of what is passed over.
    private static let depthLimit = 8
    private static let memberLimit = 64

    /// The bytes between the quotes.
    private(set) var texts: [String: Range<Int>] = [:]
    /// The bytes of members that are no text.
    private(set) var others: [String: Range<Int>] = [:]
    private var names: Set<String> = []
    private var index = 0

    init?(_ bytes: Span<UInt8>) {
        guard readObject(bytes) else { return nil }
        skipSpace(bytes)
        guard index == bytes.count else { return nil }
    }

    /// For members that are no secret, as they stand: with their escapes. nil if it is no UTF-8.
    func text(_ name: String, in bytes: Span<UInt8>) -> String? {
        guard let range = texts[name] else { return nil }
        return Self.text(bytes.extracting(range))
    }

    private static func text(_ bytes: Span<UInt8>) -> String? { String(validating: copy(bytes), as: UTF8.self) }

    static func copy(_ bytes: Span<UInt8>) -> [UInt8] {
        var copy: [UInt8] = []
        for index in bytes.indices { copy.append(bytes[index]) }
        return copy
    }

    private mutating func readObject(_ bytes: Span<UInt8>) -> Bool {
        guard take("{", bytes) else { return false }
        if take("}", bytes) { return true }
        while names.count < Self.memberLimit {
            guard let range = readText(bytes), take(":", bytes) else { return false }
            guard let name = Self.text(bytes.extracting(range)), names.insert(name).inserted else { return false }
            skipSpace(bytes)
            if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
                guard let range = readText(bytes) else { return false }
                texts[name] = range
            } else {
                let start = index
                guard skipValue(bytes, depth: 0) else { return false }
                others[name] = start..<index
            }
            if take("}", bytes) { return true }
            guard take(",", bytes) else { return false }
        }
        return false
    }

    /// Passes over the text at hand; its bytes without the quotes.
    private mutating func readText(_ bytes: Span<UInt8>) -> Range<Int>? {
        guard take("\"", bytes) else { return nil }
        let start = index
        while index < bytes.count, bytes[index] >= 0x20 {
            if bytes[index] == UInt8(ascii: "\"") {
                index += 1
                return start..<index - 1
            }
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    private mutating func skipValue(_ bytes: Span<UInt8>, depth: Int) -> Bool {
        skipSpace(bytes)
        guard index < bytes.count, depth < Self.depthLimit else { return false }
        switch bytes[index] {
        case UInt8(ascii: "\""): return readText(bytes) != nil
        case UInt8(ascii: "{"): return skipList(bytes, depth, closing: "}", hasNames: true)
        case UInt8(ascii: "["): return skipList(bytes, depth, closing: "]", hasNames: false)
        default: return skipWord(bytes)
        }
    }

    private mutating func skipList(
        _ bytes: Span<UInt8>, _ depth: Int, closing: Unicode.Scalar, hasNames: Bool
    ) -> Bool {
        index += 1
        if take(closing, bytes) { return true }
        while true {
            if hasNames {
                guard readText(bytes) != nil, take(":", bytes) else { return false }
            }
            guard skipValue(bytes, depth: depth + 1) else { return false }
            if take(closing, bytes) { return true }
            guard take(",", bytes) else { return false }
        }
    }

    /// A number, `true`, `false` or `null`: which of them is nothing to us.
    private mutating func skipWord(_ bytes: Span<UInt8>) -> Bool {
        let start = index
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "+"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "E"):
                index += 1
            default: return index > start
            }
        }
        return false
    }

    private mutating func take(_ mark: Unicode.Scalar, _ bytes: Span<UInt8>) -> Bool {
        skipSpace(bytes)
        guard index < bytes.count, bytes[index] == UInt8(ascii: mark) else { return false }
        index += 1
        return true
    }

    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
    }
}
