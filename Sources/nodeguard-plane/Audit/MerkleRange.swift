import Crypto

/// An RFC 6962 Merkle tree as its compact range: the roots of the full subtrees that make up the leaves so far, largest
/// first. At most 64 hashes, whatever the size.
struct MerkleRange: Sendable, Equatable {
    private(set) var size: UInt64 = 0
    private(set) var peaks: [[UInt8]] = []

    static let hashSize = 32

    init() {}

    /// nil if there are not as many peaks as `size` has bits.
    init?(size: UInt64, peakBytes: [UInt8]) {
        guard peakBytes.count == size.nonzeroBitCount * Self.hashSize else { return nil }
        self.size = size
        peaks = stride(from: 0, to: peakBytes.count, by: Self.hashSize).map {
            Array(peakBytes[$0..<($0 + Self.hashSize)])
        }
    }

    var peakBytes: [UInt8] { peaks.flatMap { $0 } }

    mutating func append(_ leaf: [UInt8]) {
        var hash = leaf
        var rest = size
        while rest & 1 == 1, let left = peaks.popLast() {
            hash = Self.node(left, hash)
            rest >>= 1
        }
        peaks.append(hash)
        size += 1
    }

    /// RFC 6962 §2.1; of no leaves, the hash of nothing.
    var root: [UInt8] {
        guard var hash = peaks.last else { return Array(SHA256.hash(data: [UInt8]())) }
        for peak in peaks.dropLast().reversed() { hash = Self.node(peak, hash) }
        return hash
    }

    static func leaf(_ data: some Sequence<UInt8>) -> [UInt8] { Array(SHA256.hash(data: [0] + data)) }

    private static func node(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: [1] + left + right))
    }
}
