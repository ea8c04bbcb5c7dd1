import OpenSSL

/// One number for each certificate, the same after every restart, spread evenly over a fleet.
package enum RenewalJitter {
    /// In [0, 1).
    package static func fraction(node: String, serial: String) -> Double {
        let key = SecretBytes(copying: Array(node.utf8))
        let code = MessageAuthentication.hmacSHA256(key: key, Array(serial.utf8))
        // 53 bits: each of them is exact in a Double.
        let bits = code.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } >> 11
        return Double(bits) / Double(UInt64(1) << 53)
    }
}
