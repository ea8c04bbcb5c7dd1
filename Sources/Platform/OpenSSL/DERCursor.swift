/// Reads DER (X.690 §10) element after element: tags of one octet, lengths that are definite and as short as can be,
/// and never a byte beyond what an element says of itself.
struct DERCursor {
    struct Element {
        let tag: UInt8
        let contents: UnsafeRawBufferPointer
        /// With tag and length.
        let whole: UnsafeRawBufferPointer
    }

    /// X.690 §8; constructed where it has elements of its own.
    enum Tag {
        static let boolean: UInt8 = 0x01
        static let integer: UInt8 = 0x02
        static let bitString: UInt8 = 0x03
        static let octetString: UInt8 = 0x04
        static let objectIdentifier: UInt8 = 0x06
        static let enumerated: UInt8 = 0x0A
        static let utcTime: UInt8 = 0x17
        static let generalizedTime: UInt8 = 0x18
        static let sequence: UInt8 = 0x30
        static let context0: UInt8 = 0xA0
    }

    /// A length of four octets is more than any file that is read.
    private static let lengthOctetLimit = 4

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    /// Of the element that comes next; nil at the end.
    var tag: UInt8? { isAtEnd ? nil : bytes[position] }

    mutating func next() throws(OpenSSLError) -> Element {
        let begin = position
        guard bytes.count - position >= 2 else { throw Self.refusal("it ends too early") }
        let tag = bytes[position]
        guard tag & 0x1F != 0x1F else { throw Self.refusal("it has a tag that no list has") }
        position += 1
        let count = try length()
        guard count <= bytes.count - position else { throw Self.refusal("it ends too early") }
        let contents = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
        position += count
        return Element(tag: tag, contents: contents, whole: UnsafeRawBufferPointer(rebasing: bytes[begin..<position]))
    }

    private mutating func length() throws(OpenSSLError) -> Int {
        let first = bytes[position]
        position += 1
        if first < 0x80 { return Int(first) }
        let octets = Int(first & 0x7F)
        guard (1...Self.lengthOctetLimit).contains(octets), octets <= bytes.count - position else {
            throw Self.refusal("it has a length that is not definite, or too long")
        }
        var count = 0
        for index in position..<(position + octets) { count = count << 8 | Int(bytes[index]) }
        guard bytes[position] != 0, count >= 0x80 else { throw Self.refusal("a length is longer than it has to be") }
        position += octets
        return count
    }

    mutating func element(_ tag: UInt8) throws(OpenSSLError) -> Element {
        let element = try next()
        guard element.tag == tag else { throw Self.refusal("an element has another type than it must have") }
        return element
    }

    mutating func contents(_ tag: UInt8) throws(OpenSSLError) -> UnsafeRawBufferPointer { try element(tag).contents }

    func end() throws(OpenSSLError) {
        guard isAtEnd else { throw Self.refusal("there is something behind its end") }
    }

    static func refusal(_ reason: String) -> OpenSSLError {
        OpenSSLError("read a CRL", "\(reason) (it must be DER, X.690 section 10)")
    }
}

extension DERCursor {
    /// RFC 5280 §4.2.
    struct Extension {
        /// Of the identifier, without tag and length.
        let identifier: UnsafeRawBufferPointer
        let isCritical: Bool
        let value: UnsafeRawBufferPointer

        /// N of `id-ce N`, which is 2.5.29.N; nil: it is none of those.
        var number: UInt8? {
            identifier.count == 3 && identifier[0] == 0x55 && identifier[1] == 0x1D ? identifier[2] : nil
        }
    }

    mutating func nextExtension() throws(OpenSSLError) -> Extension {
        var parts = DERCursor(try contents(Tag.sequence))
        let identifier = try parts.contents(Tag.objectIdentifier)
        guard Self.isIdentifier(identifier) else { throw Self.refusal("an identifier of it is none") }
        var isCritical = false
        if parts.tag == Tag.boolean {
            let flag = try parts.contents(Tag.boolean)
            // X.690 §11.1 and §11.5: true is all ones, and a default is left out.
            guard flag.count == 1, flag[0] == 0xFF else {
                throw Self.refusal("an extension is neither critical nor not")
            }
            isCritical = true
        }
        let value = try parts.contents(Tag.octetString)
        try parts.end()
        return Extension(identifier: identifier, isCritical: isCritical, value: value)
    }

    /// X.690 §8.19.2: groups of seven bits, of which the last ends the whole, and none begins with nothing.
    private static func isIdentifier(_ contents: UnsafeRawBufferPointer) -> Bool {
        guard let last = contents.last, last < 0x80 else { return false }
        return contents.indices.allSatisfy { contents[$0] != 0x80 || $0 > 0 && contents[$0 - 1] >= 0x80 }
    }
}
