import COpenSSL

/// CRC-32C: long runs by the processor's instruction where it has one, else by eight tables ("slicing by 8").
enum CRC32C {
    private static let isInHardware = COpenSSL_has_crc32c() != 0
    /// From here on three runs side by side and their joining are faster than the tables.
    private static let hardwareThreshold = 16 << 10

    private static let polynomial: UInt32 = 0x82F6_3B78

    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ polynomial : value >> 1 }
            tables[byte] = value
        }
        for table in 1..<8 {
            for byte in 0..<256 {
                let before = tables[(table - 1) * 256 + byte]
                tables[table * 256 + byte] = before >> 8 ^ tables[Int(before & 0xFF)]
            }
        }
        return tables
    }()

    static func update(_ start: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard isInHardware, bytes.count >= hardwareThreshold, let first = bytes.baseAddress else {
            return updateByTables(start, bytes)
        }
        let words = bytes.count / 24
        var sums = [UInt64(~start), 0, 0]
        COpenSSL_crc32c(&sums, first.assumingMemoryBound(to: UInt8.self), words)
        var value = UInt32(truncatingIfNeeded: sums[0])
        for sum in sums.dropFirst() {
            value = combinedCRC32C(value, UInt32(truncatingIfNeeded: sum), secondLength: words * 8)
        }
        return updateByTables(~value, UnsafeRawBufferPointer(rebasing: bytes[(words * 24)...]))
    }

    private static func updateByTables(_ start: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        tables.withUnsafeBufferPointer { tables in
            var value = ~start
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                let low = UInt32(truncatingIfNeeded: word) ^ value
                let high = UInt32(truncatingIfNeeded: word >> 32)
                value =
                    tables[7 * 256 + Int(low & 0xFF)] ^ tables[6 * 256 + Int(low >> 8 & 0xFF)]
                    ^ tables[5 * 256 + Int(low >> 16 & 0xFF)] ^ tables[4 * 256 + Int(low >> 24)]
                value ^=
                    tables[3 * 256 + Int(high & 0xFF)] ^ tables[2 * 256 + Int(high >> 8 & 0xFF)]
                    ^ tables[256 + Int(high >> 16 & 0xFF)] ^ tables[Int(high >> 24)]
                offset += 8
            }
            while offset < bytes.count {
                value = value >> 8 ^ tables[Int(UInt8(truncatingIfNeeded: value) ^ bytes[offset])]
                offset += 1
            }
            return ~value
        }
    }
}
