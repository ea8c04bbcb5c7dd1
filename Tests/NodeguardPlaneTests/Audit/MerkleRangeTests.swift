import Testing

@testable import nodeguard_plane

@Suite struct `The hash tree` {
    /// Leaves and roots of the test data of certificate-transparency's reference implementation.
    static let leaves = [
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    ]
    static let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]

    @Test func `has the roots of RFC 6962's known vectors`() throws {
        var range = MerkleRange()
        #expect(Hex.lower(range.root) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        for (leaf, root) in zip(Self.leaves, Self.roots) {
            range.append(MerkleRange.leaf(try #require(Hex.decode(leaf))))
            #expect(Hex.lower(range.root) == root)
        }
        #expect(range.size == 8 && range.peaks.count == 1)
    }

    @Test func `agrees with the recursive definition at every size, and survives being stored`() throws {
        var range = MerkleRange()
        var leaves: [String] = []
        for size in 1...70 {
            leaves.append("event \(size)")
            range.append(MerkleRange.leaf(Array(leaves[size - 1].utf8)))
            #expect(range.root == Array(AuditLogFixture.root(leaves)))
            #expect(range.peaks.count == size.nonzeroBitCount)
            range = try #require(MerkleRange(size: range.size, peakBytes: range.peakBytes))
        }
        #expect(MerkleRange(size: 3, peakBytes: [UInt8](repeating: 0, count: 32)) == nil)
    }
}
