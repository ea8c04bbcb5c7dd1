import OpenSSL

/// An RFC 6962 hash tree that only grows, kept as its compact range: the roots of the complete subtrees that the leaves
/// so far make up, largest first. A value of at most 64 hashes, whatever the size.
package struct MerkleTree: Sendable, Equatable {
    package static let hashSize = 32
    /// RFC 6962 §2.1: what is hashed before a leaf's data, and before the hashes of two subtrees.
    private static let leafPrefix: UInt8 = 0
    private static let nodePrefix: UInt8 = 1

    package private(set) var size: UInt64 = 0
    /// One hash after the other: the last two of them are what the hash over both is made of.
    package private(set) var peakBytes: [UInt8] = []

    package init() {}

    /// nil unless there is one peak for each bit that is set in `size`.
    package init?(size: UInt64, peakBytes: [UInt8]) {
        guard peakBytes.count == size.nonzeroBitCount * Self.hashSize else { return nil }
        self.size = size
        self.peakBytes = peakBytes
    }

    package var peaks: [[UInt8]] {
        stride(from: 0, to: peakBytes.count, by: Self.hashSize).map { Array(peakBytes[$0..<$0 + Self.hashSize]) }
    }

    /// Adds a leaf with this data. `digest`: lent, so that many leaves need one.
    package mutating func append(_ data: ArraySlice<UInt8>, with digest: Digest.SHA256) {
        digest.update(Self.leafPrefix)
        digest.update(data)
        digest.finish(to: &peakBytes)
        // Each trailing 1 bit of the size is a complete subtree as large as the one that grows here.
        var bits = size
        while bits & 1 == 1 {
            digest.update(Self.nodePrefix)
            digest.update(peakBytes[(peakBytes.count - 2 * Self.hashSize)...])
            peakBytes.removeLast(2 * Self.hashSize)
            digest.finish(to: &peakBytes)
            bits >>= 1
        }
        size += 1
    }

    package mutating func append(_ data: [UInt8]) { append(data[...], with: Digest.SHA256()) }

    /// RFC 6962 §2.1; of no leaves, the hash of nothing.
    package var root: [UInt8] {
        let peaks = peaks
        guard var hash = peaks.last else { return Digest.sha256([UInt8]()) }
        for peak in peaks.dropLast().reversed() { hash = Self.nodeHash(peak, hash) }
        return hash
    }

    private static func nodeHash(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        Digest.sha256([nodePrefix] + left + right)
    }
}
