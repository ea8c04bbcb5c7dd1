import Glibc
import IO
import OpenSSL
import TestSupport
import Testing

@testable import PlaneClient

/// In a process of its own, whose whole memory is searched.
@Suite struct `A key of the plane` {
    @Test func `is in memory once while it is held, and nowhere afterwards`() async {
        await #expect(processExitsWith: .success) {
            let plane = try await PlaneDouble()
            for isCreation in [true, false] {
                do {
                    let key =
                        isCreation
                        ? try await plane.client.createKey(backup: "b").secret
                        : try await plane.client.unwrapKey(id: "bk-1", wrapped: [0], kek: "kek-1", reason: "restore")
                    let (bytes, base64) = try plane.disguisedKey()
                    #expect(key.count == 32)
                    #expect(try ProcessImage.count(of: bytes, disguise: PlaneDouble.disguise) == 1)
                    #expect(try ProcessImage.count(of: base64, disguise: PlaneDouble.disguise) == 0)
                }
                let (bytes, base64) = try plane.disguisedKey()
                #expect(try ProcessImage.count(of: bytes, disguise: PlaneDouble.disguise) == 0)
                #expect(try ProcessImage.count(of: base64, disguise: PlaneDouble.disguise) == 0)
            }
            await plane.client.close()
        }
    }
}

/// What this process has in its writable memory.
private enum ProcessImage {
    private static let pieceLength = 1 << 20

    /// How often the bytes stand there. They are given disguised, and compared byte by byte, so that looking for them
    /// makes no copy of them.
    static func count(of disguised: [UInt8], disguise: UInt8) throws -> Int {
        let maps = String(decoding: try Files.read("/proc/self/maps", limit: 4 << 20), as: UTF8.self)
        let memory = open("/proc/self/mem", O_RDONLY)
        try #require(memory >= 0)
        defer { close(memory) }
        var found = 0
        // Outside of the heap and never moved, so that what it holds is not searched as well.
        let space = mmap(nil, pieceLength, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let piece = UnsafeMutableRawBufferPointer(start: space, count: pieceLength)
        defer { munmap(space, pieceLength) }
        for line in maps.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 2, words[1].hasPrefix("rw") else { continue }
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2, !(ends[0]..<ends[1]).contains(UInt(bitPattern: space)) else { continue }
            var start = ends[0]
            while start < ends[1] {
                let wanted = min(pieceLength, Int(ends[1] - start))
                let got = pread(memory, space, wanted, off_t(start))
                guard got >= disguised.count else { break }
                found += occurrences(of: disguised, disguise, in: piece, got)
                // The next piece begins so early that nothing is cut in two, and nothing is counted twice.
                start += UInt(got == wanted && wanted == pieceLength ? got - disguised.count + 1 : got)
            }
        }
        return found
    }

    private static func occurrences(
        of disguised: [UInt8], _ disguise: UInt8, in piece: UnsafeMutableRawBufferPointer, _ count: Int
    ) -> Int {
        var found = 0
        guard let base = piece.baseAddress, count >= disguised.count else { return 0 }
        let first = Int32(disguised[0] ^ disguise)
        var offset = 0
        let last = count - disguised.count
        while offset <= last, let hit = memchr(base + offset, first, last - offset + 1) {
            offset = UnsafeRawPointer(hit) - UnsafeRawPointer(base)
            if disguised.indices.allSatisfy({ piece[offset + $0] ^ disguise == disguised[$0] }) { found += 1 }
            offset += 1
        }
        // It may hold what was found.
        memset(base, 0, count)
        return found
    }
}
