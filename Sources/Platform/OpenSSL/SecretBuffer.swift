import COpenSSL

/// Secret bytes that arrive piece by piece: never more than its capacity, never moved, wiped in `deinit`.
///
/// Not `Sendable`: it belongs to one lane.
package final class SecretBuffer {
    private let storage: SecretBytes
    package let capacity: Int
    package private(set) var count = 0

    package init(capacity: Int) {
        self.capacity = capacity
        storage = SecretBytes(count: capacity)
    }

    /// False, and nothing is taken, if they are more than fit.
    package func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= capacity - count else { return false }
        storage.withUnsafeMutableBytes { space in
            UnsafeMutableRawBufferPointer(rebasing: space[count...]).copyMemory(from: bytes)
        }
        count += bytes.count
        return true
    }

    /// What has arrived, in a memory of its own.
    package func contents() -> SecretReference {
        SecretReference(
            SecretBytes(count: count) { space in
                storage.withUnsafeBytes { space.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            })
    }
}
