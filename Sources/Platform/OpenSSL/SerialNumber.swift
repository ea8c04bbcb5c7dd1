import COpenSSL

/// A certificate's serial number: at most 20 octets (RFC 5280 §4.1.2.2), and a sign, as a two's complement of 24.
struct SerialNumber: Hashable, Comparable, Sendable {
    private static let octetLimit = 20

    private var high: UInt64 = 0
    private var middle: UInt64 = 0
    private var low: UInt64 = 0

    /// nil if it is longer than allowed, or negative: `Certificate` takes none that is.
    init?(_ number: UnsafePointer<ASN1_INTEGER>?) {
        guard let number, ASN1_STRING_type(number) != V_ASN1_NEG_INTEGER else { return nil }
        let bytes = UnsafeRawBufferPointer(start: ASN1_STRING_get0_data(number), count: Int(ASN1_STRING_length(number)))
        guard bytes.count <= Self.octetLimit else { return nil }
        for byte in bytes { append(byte) }
    }

    /// The contents of an INTEGER in DER; nil if they are longer than allowed, or than they have to be (X.690 §8.3.2).
    init?(contents: UnsafeRawBufferPointer) {
        guard let first = contents.first, contents.count <= Self.octetLimit + (first == 0 ? 1 : 0) else { return nil }
        if contents.count > 1, (first == 0x00 && contents[1] < 0x80) || (first == 0xFF && contents[1] >= 0x80) {
            return nil
        }
        if first >= 0x80 { (high, middle, low) = (.max, .max, .max) }
        for byte in contents { append(byte) }
    }

    private mutating func append(_ byte: UInt8) {
        high = high << 8 | middle >> 56
        middle = middle << 8 | low >> 56
        low = low << 8 | UInt64(byte)
    }

    /// nil: it has more than 16 octets, or is negative.
    var short: UInt128? { high == 0 ? UInt128(middle) << 64 | UInt128(low) : nil }

    static func < (one: SerialNumber, other: SerialNumber) -> Bool {
        (one.high, one.middle, one.low) < (other.high, other.middle, other.low)
    }
}
