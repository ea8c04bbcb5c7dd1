/// An element of a small XML document: what the answers of an object store need and nothing else. No document type, no
/// entity but the five of XML itself, no processing instruction but the declaration; attributes are read over.
struct XMLElement: Equatable {
    struct Malformed: Error, Equatable { let reason: String }

    /// A list of 1,000 keys of 1,024 bytes, each byte as an entity, is less.
    static let byteLimit = 8 << 20
    private static let elementLimit = 20_000
    private static let depthLimit = 16

    let name: String
    var text = ""
    var children: [XMLElement] = []

    /// As the text of an element.
    static func escaped(_ text: String) -> String {
        let known: [Character: String] = ["<": "&lt;", ">": "&gt;", "&": "&amp;", "\"": "&quot;"]
        return text.map { known[$0] ?? String($0) }.joined()
    }

    /// The first child of that name.
    func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
    func value(_ name: String) -> String? { child(name)?.text }

    static func parse(_ bytes: [UInt8]) throws(Malformed) -> XMLElement {
        guard bytes.count <= byteLimit else { throw Malformed(reason: "longer than \(byteLimit) bytes") }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw Malformed(reason: "not UTF-8") }
        var reader = Reader(bytes: bytes)
        try reader.skipProlog()
        let root = try reader.element()
        try reader.skipMisc()
        guard reader.isAtEnd else { throw Malformed(reason: "something behind the root element") }
        return root
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0
        var elementCount = 0

        init(bytes: [UInt8]) {
            self.bytes = bytes
            if starts("\u{FEFF}") { position = 3 }
        }

        var isAtEnd: Bool { position == bytes.count }

        func starts(_ text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

        mutating func skipSpace() {
            while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
        }

        mutating func skip(to end: String) throws(Malformed) {
            while position < bytes.count, !starts(end) { position += 1 }
            guard position < bytes.count else { throw Malformed(reason: "no '\(end)'") }
            position += end.utf8.count
        }

        mutating func skipProlog() throws(Malformed) {
            if starts("<?xml") { try skip(to: "?>") }
            try skipMisc()
        }

        mutating func skipMisc() throws(Malformed) {
            skipSpace()
            while starts("<!--") {
                try skip(to: "-->")
                skipSpace()
            }
        }

        /// Its parents are kept in a list: a document cannot use up the stack.
        mutating func element() throws(Malformed) -> XMLElement {
            var open: [XMLElement] = []
            while true {
                if starts("<!--") {
                    try skip(to: "-->")
                } else if starts("</") {
                    position += 2
                    guard let closed = open.popLast(), try name() == closed.name else {
                        throw Malformed(reason: "an end tag that nothing began")
                    }
                    skipSpace()
                    try expect(">")
                    if let done = Self.close(closed, in: &open) { return done }
                } else if starts("<") {
                    guard open.count < XMLElement.depthLimit else { throw Malformed(reason: "too deep") }
                    let (begun, isEmpty) = try startTag()
                    if !isEmpty { open.append(begun) } else if let done = Self.close(begun, in: &open) { return done }
                } else {
                    guard !open.isEmpty else { throw Malformed(reason: "no element") }
                    open[open.count - 1].text += try characters()
                }
            }
        }

        /// The root once it is closed.
        private static func close(_ closed: XMLElement, in open: inout [XMLElement]) -> XMLElement? {
            var closed = closed
            if !closed.children.isEmpty { closed.text = "" }
            guard !open.isEmpty else { return closed }
            open[open.count - 1].children.append(closed)
            return nil
        }

        private mutating func startTag() throws(Malformed) -> (XMLElement, isEmpty: Bool) {
            position += 1
            elementCount += 1
            guard elementCount <= XMLElement.elementLimit else { throw Malformed(reason: "too many elements") }
            let element = XMLElement(name: try name())
            while true {
                skipSpace()
                if starts(">") {
                    position += 1
                    return (element, false)
                }
                if starts("/>") {
                    position += 2
                    return (element, true)
                }
                _ = try name()
                skipSpace()
                try expect("=")
                skipSpace()
                let quote = starts("'") ? "'" : "\""
                try expect(quote)
                try skip(to: quote)
            }
        }

        private mutating func expect(_ text: String) throws(Malformed) {
            guard starts(text) else { throw Malformed(reason: "no '\(text)' at byte \(position)") }
            position += text.utf8.count
        }

        private mutating func name() throws(Malformed) -> String {
            let start = position
            while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
            guard (1...128).contains(position - start) else { throw Malformed(reason: "no name at byte \(start)") }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }

        private static func isNameByte(_ byte: UInt8) -> Bool {
            (0x30...0x3A).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F].contains(byte)
        }

        private mutating func characters() throws(Malformed) -> String {
            var text: [UInt8] = []
            while position < bytes.count, bytes[position] != UInt8(ascii: "<") {
                if bytes[position] == UInt8(ascii: "&") {
                    text += Array(try reference().utf8)
                } else {
                    text.append(bytes[position])
                    position += 1
                }
            }
            guard position < bytes.count else { throw Malformed(reason: "it ends within an element") }
            return String(decoding: text, as: UTF8.self)
        }

        private mutating func reference() throws(Malformed) -> String {
            let known = ["&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": "\"", "&apos;": "'"]
            for (written, meant) in known where starts(written) {
                position += written.utf8.count
                return meant
            }
            let end = bytes[position...].prefix(12).firstIndex(of: UInt8(ascii: ";"))
            guard starts("&#"), let end else { throw Malformed(reason: "an entity that XML does not have") }
            let digits = String(decoding: bytes[(position + 2)..<end], as: UTF8.self)
            let value = digits.hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
            guard let scalar = value.flatMap(UnicodeScalar.init), scalar.value != 0 else {
                throw Malformed(reason: "a character that does not exist")
            }
            position = end + 1
            return String(scalar)
        }
    }
}
