import COpenSSL

/// A memory BIO with one owner, for PEM and printed text.
struct MemoryBIO: ~Copyable {
    let pointer: OpaquePointer

    /// `isSecret`: its buffer lies in secure memory and is cleansed when it grows and at the end.
    init(isSecret: Bool = false) {
        guard let pointer = BIO_new(isSecret ? BIO_s_secmem() : BIO_s_mem()) else {
            preconditionFailure("out of memory")
        }
        self.pointer = pointer
    }

    /// Reads from memory that outlives it.
    init(reading bytes: UnsafeRawBufferPointer) {
        guard let pointer = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else {
            preconditionFailure("out of memory")
        }
        self.pointer = pointer
    }

    deinit { BIO_free(pointer) }

    borrowing func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        var start: UnsafeMutablePointer<CChar>?
        let count = COpenSSL_BIO_get_mem_data(pointer, &start)
        return try body(UnsafeRawBufferPointer(start: start, count: max(0, count)))
    }

    borrowing func text() -> String { withBytes { String(decoding: $0, as: UTF8.self) } }
}

/// What one of OpenSSL's `i2d` functions writes: asked for its length first, then for the bytes.
func encoded(_ encode: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32) -> [UInt8]? {
    let count = encode(nil)
    guard count > 0 else { return nil }
    return [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, filled in
        var next = buffer.baseAddress
        filled = max(0, Int(encode(&next)))
    }
}
