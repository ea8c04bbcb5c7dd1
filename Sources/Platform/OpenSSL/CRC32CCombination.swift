/// The CRC-32C of two runs of bytes, one after the other, from the CRC-32C of each: so that runs are reckoned side by
/// side. (As zlib's `crc32_combine`: multiply by x to the power of the second run's bits, modulo the
/// polynomial.)
package func combinedCRC32C(_ first: UInt32, _ second: UInt32, secondLength: Int) -> UInt32 {
    product(power(ofBytes: secondLength), first) ^ second
}

/// x^(8·count) modulo the polynomial, by squaring.
private func power(ofBytes count: Int) -> UInt32 {
    var result: UInt32 = 1 << 31
    // x^8, bits reflected.
    var square: UInt32 = 1 << 23
    var rest = count
    while rest > 0 {
        if rest & 1 == 1 { result = product(square, result) }
        square = product(square, square)
        rest >>= 1
    }
    return result
}

/// Of two polynomials over GF(2), bits reflected, modulo CRC-32C's.
private func product(_ left: UInt32, _ right: UInt32) -> UInt32 {
    let polynomial: UInt32 = 0x82F6_3B78
    var sum: UInt32 = 0
    var shifted = right
    for bit in stride(from: 31, through: 0, by: -1) {
        if left >> UInt32(bit) & 1 == 1 { sum ^= shifted }
        shifted = shifted & 1 == 1 ? shifted >> 1 ^ polynomial : shifted >> 1
    }
    return sum
}
