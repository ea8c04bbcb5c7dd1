import OpenSSL

/// An RFC 6962 hash tree that only grows, kept as its compact range: the roots of the complete subtrees that the leaves
/// so far make up, largest first. A value of at most 64 hashes, whatever the size.
package struct MerkleTree: Sendable, Equatable {
    package static let hashSize = 32

    package private(set) var size: UInt64 = 0
    package private(set) var peaks: [[UInt8]] = []

    package init() {}

    /// nil unless there is one peak for each bit that is set in `size`.
    package init?(size: UInt64, peakBytes: [UInt8]) {
        guard peakBytes.count == size.nonzeroBitCount * Self.hashSize else { return nil }
        self.size = size
        peaks = stride(from: 0, to: peakBytes.count, by: Self.hashSize).map {
            Array(peakBytes[$0..<$0 + Self.hashSize])
        }
    }

    package var peakBytes: [UInt8] { peaks.flatMap { $0 } }

    /// Adds a leaf with this data.
    package mutating func append(_ data: [UInt8]) {
        var hash = Self.leafHash(data)
        // Each trailing 1 bit of the size is a complete subtree as large as the one that grows here.
        var bits = size
        while bits & 1 == 1 {
            hash = Self.nodeHash(peaks.removeLast(), hash)
            bits >>= 1
        }
        peaks.append(hash)
        size += 1
    }

    /// RFC 6962 §2.1; of no leaves, the hash of nothing.
    package var root: [UInt8] {
        guard var hash = peaks.last else { return Digest.sha256([UInt8]()) }
        for peak in peaks.dropLast().reversed() { hash = Self.nodeHash(peak, hash) }
        return hash
    }

    static func leafHash(_ data: [UInt8]) -> [UInt8] { Digest.sha256([0] + data) }
    static func nodeHash(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { Digest.sha256([1] + left + right) }
}
