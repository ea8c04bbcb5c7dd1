/// `revokedCertificates` of a list (RFC 5280 §5.1.2.6): any number of entries, of which the serial number counts.
struct RevokedEntries {
    /// N of 2.5.29.N (RFC 5280 §5.3).
    private enum Identifier {
        static let reason: UInt8 = 21
        static let certificateIssuer: UInt8 = 29
    }

    /// CRLReason, RFC 5280 §5.3.1.
    private static let removeFromList: UInt8 = 8

    private let contents: UnsafeRawBufferPointer
    /// Those of version 1 have no extensions.
    private let mayExtend: Bool

    init(_ contents: UnsafeRawBufferPointer, mayExtend: Bool) {
        self.contents = contents
        self.mayExtend = mayExtend
    }

    func serials() throws(OpenSSLError) -> SerialTable {
        // Counted first: a table that grows would take half as much again.
        var (shortCount, longCount) = (0, 0)
        try forEach { _, serial throws(OpenSSLError) in
            if serial.short == nil { longCount += 1 } else { shortCount += 1 }
        }
        var table = SerialTable(shortCount: shortCount, longCount: longCount)
        try forEach { entry, serial throws(OpenSSLError) in
            try check(&entry)
            table.append(serial)
        }
        table.sort()
        return table
    }

    /// `body` gets what stands behind the number.
    private func forEach(
        _ body: (inout DERCursor, SerialNumber) throws(OpenSSLError) -> Void
    ) throws(OpenSSLError) {
        var list = DERCursor(contents)
        while !list.isAtEnd {
            var entry = DERCursor(try list.contents(DERCursor.Tag.sequence))
            guard let serial = SerialNumber(contents: try entry.contents(DERCursor.Tag.integer)) else {
                throw RevocationListFields.refusal("an entry has a serial number of more than 20 octets")
            }
            try body(&entry, serial)
        }
    }

    private func check(_ entry: inout DERCursor) throws(OpenSSLError) {
        _ = try ListTime(entry.next())
        if entry.isAtEnd { return }
        guard mayExtend else { throw RevocationListFields.refusal("an entry has extensions in a list of version 1") }
        var extensions = DERCursor(try entry.contents(DERCursor.Tag.sequence))
        try entry.end()
        var hasReason = false
        while !extensions.isAtEnd {
            let one = try extensions.nextExtension()
            switch one.number {
            case Identifier.certificateIssuer:
                throw RevocationListFields.refusal(
                    "an entry is of another authority, as in an indirect CRL: give one for each authority")
            case Identifier.reason:
                guard !hasReason else { throw RevocationListFields.refusal("an entry has two reasons") }
                hasReason = true
                try check(reason: one.value)
            default: break
            }
            guard !one.isCritical else { throw RevocationListFields.refusal("an entry has a critical extension") }
        }
    }

    private func check(reason value: UnsafeRawBufferPointer) throws(OpenSSLError) {
        var outer = DERCursor(value)
        let reason = try outer.contents(DERCursor.Tag.enumerated)
        try outer.end()
        guard reason.count == 1 else { throw RevocationListFields.refusal("the reason of an entry cannot be decoded") }
        guard reason[0] != Self.removeFromList else {
            throw RevocationListFields.refusal(
                "an entry takes a revocation back (removeFromCRL), as only a delta CRL may: give the complete one")
        }
    }
}
