import COpenSSL

/// Reads files of PEM blocks that are all of one kind.
///
/// Text before a block is let pass (RFC 7468 §5.2). A block of another kind, a broken one, text after the last block,
/// or no block at all is an error: half a file must not look like a whole one.
struct PEMBlocks {
    let label: String
    /// One of them, in words.
    let noun: String
    let countLimit: Int

    init(label: String, of noun: String, countLimit: Int) {
        self.label = label
        self.noun = noun
        self.countLimit = countLimit
    }

    /// The DER of each block, in the file's order, and where it stands: "block 2 (line 31)", counted from 1.
    func read(_ bytes: [UInt8], limit: Int) throws(OpenSSLError) -> [(der: [UInt8], place: String)] {
        guard bytes.count <= limit else { throw refusal("it is too large") }
        OpenSSLLibrary.prepare()
        let layout = PEMLayout(bytes)
        var blocks: [(der: [UInt8], place: String)] = []
        let failure: OpenSSLError? = bytes.withUnsafeBytes { raw in
            let input = MemoryBIO(reading: raw)
            while blocks.count <= countLimit {
                let place = layout.place(of: blocks.count)
                do throws(OpenSSLError) {
                    guard let block = try nextBlock(input.pointer, place) else { return nil }
                    blocks.append((block, place))
                } catch { return error }
            }
            return refusal("it has more than \(countLimit) \(noun)s")
        }
        if let failure { throw failure }
        if let flaw = layout.flaw { throw refusal(flaw) }
        guard !blocks.isEmpty else { throw refusal("it has none") }
        guard layout.beginnings.count == blocks.count else { throw refusal("there is a broken block") }
        return blocks
    }

    /// The DER of the next block; nil at the end.
    private func nextBlock(_ input: OpaquePointer, _ place: String) throws(OpenSSLError) -> [UInt8]? {
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
        guard let name, String(cString: name) == label, header.map({ $0.pointee == 0 }) ?? true else {
            throw refusal("\(place): it is no \(noun)")
        }
        return Array(UnsafeBufferPointer(start: data, count: count))
    }

    func refusal(_ reason: String) -> OpenSSLError { OpenSSLError("read PEM \(noun)s", reason) }
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
