import COpenSSL

extension Certificate {
    /// At most this many bytes and certificates in one file.
    private static let fileLimit = 1 << 20
    private static let countLimit = 512

    /// All certificates of a PEM file, in its order.
    ///
    /// Text before a block is let pass (RFC 7468 §5.2). A block of another kind, a broken one, text after the last
    /// block, or no certificate at all is an error: half a trust file must not look like a whole one.
    package static func parsePEM(_ bytes: [UInt8]) throws(OpenSSLError) -> [Certificate] {
        try blocks(ofPEM: bytes).map(\.certificate)
    }

    /// The same, and where each stands in the file.
    package static func blocks(ofPEM bytes: [UInt8]) throws(OpenSSLError) -> [PEMBlock] {
        guard bytes.count <= fileLimit else { throw refusal("it is too large") }
        OpenSSLLibrary.prepare()
        let layout = PEMLayout(bytes)
        var blocks: [[UInt8]] = []
        let failure: OpenSSLError? = bytes.withUnsafeBytes { raw in
            let input = MemoryBIO(reading: raw)
            while blocks.count <= countLimit {
                do throws(OpenSSLError) {
                    guard let block = try nextBlock(input.pointer, layout.place(of: blocks.count)) else { return nil }
                    blocks.append(block)
                } catch { return error }
            }
            return refusal("it has more than \(countLimit) certificates")
        }
        if let failure { throw failure }
        if let flaw = layout.flaw { throw refusal(flaw) }
        guard !blocks.isEmpty else { throw refusal("it has none") }
        guard layout.beginnings.count == blocks.count else { throw refusal("there is a broken block") }
        var found: [PEMBlock] = []
        for (index, der) in blocks.enumerated() {
            do throws(OpenSSLError) {
                let place = layout.place(of: index)
                found.append(PEMBlock(certificate: try Certificate(der: der), place: place))
            } catch { throw refusal("\(layout.place(of: index)): \(error)") }
        }
        return found
    }

    /// The DER of the next block; nil at the end.
    private static func nextBlock(_ input: OpaquePointer, _ place: String) throws(OpenSSLError) -> [UInt8]? {
        var name: UnsafeMutablePointer<CChar>?
        var header: UnsafeMutablePointer<CChar>?
        var data: UnsafeMutablePointer<UInt8>?
        var count = 0
        ErrorStack.clear()
        guard PEM_read_bio(input, &name, &header, &data, &count) == 1 else {
            let entries = ErrorStack.drain()
            guard entries.contains(where: { $0.reason == PEM_R_NO_START_LINE }) else {
                throw refusal("\(place): \(entries.last?.text ?? "it is broken")")
            }
            return nil
        }
        defer {
            CRYPTO_free(name, nil, 0)
            CRYPTO_free(header, nil, 0)
            CRYPTO_clear_free(data, count, nil, 0)
        }
        guard let name, String(cString: name) == "CERTIFICATE", header.map({ $0.pointee == 0 }) ?? true else {
            throw refusal("\(place): it is no certificate")
        }
        return Array(UnsafeBufferPointer(start: data, count: count))
    }

    private static func refusal(_ reason: String) -> OpenSSLError { OpenSSLError("read PEM certificates", reason) }
}

/// One certificate of a PEM file.
package struct PEMBlock: Sendable {
    package let certificate: Certificate
    /// "block 2 (line 31)", counted from 1.
    package let place: String
}

/// Where the blocks of a PEM file begin, and what is wrong with their order.
private struct PEMLayout {
    /// Line numbers, from 1.
    private(set) var beginnings: [Int] = []
    private(set) var flaw: String?
    private var isInside = false
    private var strayLine: Int?

    init(_ bytes: [UInt8]) {
        let (beginning, end) = (Array("-----BEGIN ".utf8), Array("-----END ".utf8))
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            if line.starts(with: beginning) {
                if isInside { note("\(place(of: beginnings.count - 1)): it has no end") }
                beginnings.append(index + 1)
                (isInside, strayLine) = (true, nil)
            } else if line.starts(with: end) {
                if !isInside { note("line \(index + 1): the end of a block that has no beginning") }
                isInside = false
            } else if !isInside, strayLine == nil, line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) {
                strayLine = index + 1
            }
        }
        if isInside { note("\(place(of: beginnings.count - 1)): it has no end") }
        if let strayLine, !beginnings.isEmpty { note("line \(strayLine): there is text after the last block") }
    }

    private mutating func note(_ text: String) { flaw = flaw ?? text }

    func place(of index: Int) -> String {
        beginnings.indices.contains(index) ? "block \(index + 1) (line \(beginnings[index]))" : "block \(index + 1)"
    }
}
