import COpenSSL

/// A certificate's serial number: at most 20 octets (RFC 5280 §4.1.2.2), and a sign, in 24 bytes.
struct SerialNumber: Hashable, Comparable, Sendable {
    private static let octetLimit = 20
    private static let sign: UInt64 = 1 << 63

    private var high: UInt64 = 0
    private var middle: UInt64 = 0
    private var low: UInt64 = 0

    /// nil if it is longer than allowed.
    init?(_ number: UnsafePointer<ASN1_INTEGER>?) {
        guard let number else { return nil }
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(number), count: Int(ASN1_STRING_length(number)))
        guard bytes.count <= Self.octetLimit else { return nil }
        for byte in bytes {
            high = high << 8 | middle >> 56
            middle = middle << 8 | low >> 56
            low = low << 8 | UInt64(byte)
        }
        if ASN1_STRING_type(number) == V_ASN1_NEG_INTEGER { high |= Self.sign }
    }

    static func < (one: SerialNumber, other: SerialNumber) -> Bool {
        (one.high, one.middle, one.low) < (other.high, other.middle, other.low)
    }
}
