import OpenSSL
import Testing

@testable import Audit

@Suite struct `The hash tree` {
    /// The leaves and roots of the certificate-transparency project's own tests (merkletree, `TestVector`).
    private static let leaves = [
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    ]
    private static let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]

    @Test func `has the published roots`() {
        var tree = MerkleTree()
        #expect(hexadecimal(tree.root) == Self.roots[0])
        for (index, leaf) in Self.leaves.enumerated() {
            tree.append(bytes(leaf))
            #expect(hexadecimal(tree.root) == Self.roots[index + 1])
            #expect(tree.size == UInt64(index + 1))
        }
    }

    @Test func `agrees with the recursive definition of RFC 6962 at every size`() {
        let leaves = (0..<130).map { Array("leaf \($0)".utf8) }
        var tree = MerkleTree()
        for size in 1...leaves.count {
            tree.append(leaves[size - 1])
            #expect(tree.root == definition(leaves[..<size]))
        }
    }

    @Test func `keeps one hash for each bit of its size, and comes back from its bytes`() throws {
        var tree = MerkleTree()
        for number in 0..<1000 {
            #expect(tree.peaks.count == tree.size.nonzeroBitCount)
            var copy = try #require(MerkleTree(size: tree.size, peakBytes: tree.peakBytes))
            #expect(copy == tree)
            tree.append([UInt8(truncatingIfNeeded: number)])
            copy.append([UInt8(truncatingIfNeeded: number)])
            #expect(copy.root == tree.root)
        }
    }

    @Test func `is not made of bytes that do not fit its size`() {
        #expect(MerkleTree(size: 3, peakBytes: [UInt8](repeating: 0, count: 32)) == nil)
        #expect(MerkleTree(size: 0, peakBytes: [0]) == nil)
        #expect(MerkleTree(size: .max, peakBytes: []) == nil)
    }

    private func definition(_ leaves: ArraySlice<[UInt8]>) -> [UInt8] {
        guard leaves.count > 1, let first = leaves.indices.first else {
            return Digest.sha256([0] + (leaves.first ?? []))
        }
        var split = 1
        while split * 2 < leaves.count { split *= 2 }
        return Digest.sha256([1] + definition(leaves[..<(first + split)]) + definition(leaves[(first + split)...]))
    }

    private func bytes(_ text: String) -> [UInt8] {
        let digits = text.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }
}
