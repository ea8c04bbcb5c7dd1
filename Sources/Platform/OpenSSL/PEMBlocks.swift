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

    /// The DER of each block, in the file's order.
    func read(_ bytes: [UInt8], limit: Int) throws(OpenSSLError) -> [[UInt8]] {
        guard bytes.count <= limit else { throw refusal("it is too large") }
        OpenSSLLibrary.prepare()
        var blocks: [[UInt8]] = []
        let failure: OpenSSLError? = bytes.withUnsafeBytes { raw in
            let input = MemoryBIO(reading: raw)
            while blocks.count <= countLimit {
                do throws(OpenSSLError) {
                    guard let block = try nextBlock(input.pointer) else { return nil }
                    blocks.append(block)
                } catch { return error }
            }
            return refusal("it has more than \(countLimit) \(noun)s")
        }
        if let failure { throw failure }
        guard !blocks.isEmpty else { throw refusal("it has none") }
        let marks = ["-----BEGIN ", "-----END "].map { lines(of: bytes, startingWith: $0) }
        guard marks == [blocks.count, blocks.count], endsWithBlock(bytes) else {
            throw refusal("there is a broken block, or text after the last one")
        }
        return blocks
    }

    /// The DER of the next block; nil at the end.
    private func nextBlock(_ input: OpaquePointer) throws(OpenSSLError) -> [UInt8]? {
        var name: UnsafeMutablePointer<CChar>?
        var header: UnsafeMutablePointer<CChar>?
        var data: UnsafeMutablePointer<UInt8>?
        var count = 0
        ErrorStack.clear()
        guard PEM_read_bio(input, &name, &header, &data, &count) == 1 else {
            let entries = ErrorStack.drain()
            guard entries.contains(where: { $0.reason == PEM_R_NO_START_LINE }) else {
                throw refusal(entries.last?.text ?? "a block is broken")
            }
            return nil
        }
        defer {
            CRYPTO_free(name, nil, 0)
            CRYPTO_free(header, nil, 0)
            CRYPTO_clear_free(data, count, nil, 0)
        }
        guard let name, String(cString: name) == label, header.map({ $0.pointee == 0 }) ?? true else {
            throw refusal("it has a block that is no \(noun)")
        }
        return Array(UnsafeBufferPointer(start: data, count: count))
    }

    private func lines(of bytes: [UInt8], startingWith mark: String) -> Int {
        let mark = Array(mark.utf8)
        return bytes.split(separator: UInt8(ascii: "\n")).count { $0.starts(with: mark) }
    }

    private func endsWithBlock(_ bytes: [UInt8]) -> Bool {
        guard let last = bytes.lastIndex(where: { ![0x20, 0x09, 0x0D, 0x0A].contains($0) }) else { return false }
        let end = Array("-----END \(label)-----".utf8)
        return bytes[...last].suffix(end.count).elementsEqual(end)
    }

    private func refusal(_ reason: String) -> OpenSSLError { OpenSSLError("read PEM \(noun)s", reason) }
}
