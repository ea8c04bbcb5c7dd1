import COpenSSL
import Glibc
import IO

/// Secret bytes with one owner: kept out of swap and core dumps, wiped in `deinit`, without a description.
///
/// They lie on OpenSSL's secure heap, or, when half of that is taken, in locked pages of their own: the other half is
/// OpenSSL's, whose random generators and ephemeral keys have no other place.
package struct SecretBytes: ~Copyable, Sendable {
    package let count: Int
    private nonisolated(unsafe) let storage: UnsafeMutableRawPointer
    /// Length of the mapping; 0 when the bytes lie on the secure heap.
    private let mappedCount: Int

    /// `count` zero bytes.
    package init(count: Int) {
        self.init(count: count) { _ in }
    }

    /// The caller wipes its own copy, or uses `init(taking:)`.
    package init(copying bytes: [UInt8]) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// The owner of `bytes` wipes them.
    package init(copying bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { bytes in
            SecretBytes(count: bytes.count) { $0.copyBytes(from: bytes) }
        }
    }

    /// Copies and wipes `bytes`.
    package init(taking bytes: inout [UInt8]) {
        self.init(copying: bytes)
        wipe(&bytes)
    }

    package init(random count: Int) {
        self.init(count: count) { buffer in
            guard count > 0 else { return }
            let start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
            precondition(RAND_priv_bytes(start, Int32(count)) == 1, "no random bytes")
        }
    }

    init(count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(Never) -> Void) {
        precondition(count >= 0)
        OpenSSLLibrary.prepare()
        self.count = count
        let isRoomLeft = CRYPTO_secure_used() + count <= OpenSSLLibrary.secureHeapSize / 2
        if isRoomLeft, let heap = CRYPTO_secure_malloc(max(count, 1), nil, 0) {
            storage = heap
            mappedCount = CRYPTO_secure_allocated(heap) == 1 ? 0 : -1
        } else {
            (storage, mappedCount) = Self.lockedPages(count)
        }
        memset(storage, 0, count)
        fill(UnsafeMutableRawBufferPointer(start: storage, count: count))
    }

    deinit {
        OPENSSL_cleanse(storage, count)
        if mappedCount > 0 {
            munmap(storage, mappedCount)
        } else {
            CRYPTO_secure_clear_free(storage, max(count, 1), nil, 0)
        }
    }

    package borrowing func withBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let bytes = UnsafeRawBufferPointer(start: storage, count: count).assumingMemoryBound(to: UInt8.self)
        return try body(bytes.span)
    }

    /// A copy in ordinary memory: whoever asks for it wipes it.
    package borrowing func copy() -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: storage, count: count))
    }

    /// Whether the bytes cannot be swapped out (false only where the limit of locked memory forbids it).
    package var isOnSecureHeap: Bool { mappedCount == 0 }

    borrowing func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(start: storage, count: count))
    }

    /// For the one who has it alone.
    borrowing func withUnsafeMutableBytes(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        body(UnsafeMutableRawBufferPointer(start: storage, count: count))
    }

    private static func lockedPages(_ count: Int) -> (UnsafeMutableRawPointer, Int) {
        let page = sysconf(Int32(_SC_PAGESIZE))
        let size = max(1, (count + page - 1) / page) * page
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else { preconditionFailure("out of memory") }
        // Both are best effort: RLIMIT_MEMLOCK may forbid the first.
        mlock(memory, size)
        madvise(memory, size, MADV_DONTDUMP)
        return (memory, size)
    }
}

/// A secret that several owners share; wiped with the last reference.
package final class SecretReference: Sendable, CustomStringConvertible, CustomReflectable {
    private let secret: SecretBytes

    package init(_ secret: consuming SecretBytes) { self.secret = secret }

    package convenience init(copying bytes: [UInt8]) { self.init(SecretBytes(copying: bytes)) }
    package convenience init(taking bytes: inout [UInt8]) { self.init(SecretBytes(taking: &bytes)) }

    /// What a file holds, read into this memory and no other.
    package static func contents(of path: String) throws(OpenSSLError) -> SecretReference {
        SecretReference(try KeyFile.read(path))
    }

    /// The same of a file that is open, from where it stands; `path` is what it is called in errors.
    package static func contents(
        of file: borrowing Descriptor, _ path: String
    ) throws(OpenSSLError) -> SecretReference {
        SecretReference(try KeyFile.read(file.rawValue, path))
    }

    package var count: Int { secret.count }
    package var description: String { "secret" }
    package var customMirror: Mirror { Mirror(self, children: []) }

    package func withSecret<Result, Failure: Error>(
        _ body: (borrowing SecretBytes) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(secret)
    }

    package func withBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try secret.withBytes(body)
    }
}

extension SecretReference: Equatable {
    /// In a time that tells nothing but their lengths.
    package static func == (one: SecretReference, other: SecretReference) -> Bool {
        one.secret.withUnsafeBytes { left in
            other.secret.withUnsafeBytes { right in
                left.count == right.count && CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
            }
        }
    }
}

extension Digest {
    package static func sha256(_ secret: SecretReference) -> [UInt8] {
        secret.withSecret { secret in secret.withUnsafeBytes { sha256($0) } }
    }
}

/// Overwrites `bytes` with zeros and empties it; other copies of the array's storage are not reached.
package func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
    bytes.removeAll()
}
