import COpenSSL
import Glibc

/// The fields of one CRL (RFC 5280 §5.1), read in one go over its bytes, of which none are kept.
///
/// Refused is what would have to be read together with something else, or not as it seems: deltas, indirect lists,
/// lists for some reasons or for one distribution point alone, and critical extensions that are not understood.
struct RevocationListFields {
    /// Its Name in DER.
    let issuer: [UInt8]
    let thisUpdate: Int64
    let nextUpdate: Int64
    /// Big-endian, without leading zeros.
    private(set) var number: [UInt8]?
    /// The DER of the authority key identifier; empty if there is none.
    private(set) var authorityKey: [UInt8] = []
    private(set) var scope = RevocationList.Scope.all
    let serials: SerialTable
    let signature: ListSignature
    /// SHA-256 of the whole.
    let fingerprint: [UInt8]

    /// N of 2.5.29.N (RFC 5280, appendix A).
    private enum Identifier {
        static let number: UInt8 = 20
        static let delta: UInt8 = 27
        static let distributionPoint: UInt8 = 28
        static let authorityKey: UInt8 = 35
    }

    private static let extensionLimit = 64
    private static let numberOctetLimit = 20

    init(_ bytes: UnsafeRawBufferPointer) throws(OpenSSLError) {
        OpenSSLLibrary.prepare()
        var file = DERCursor(bytes)
        var parts = DERCursor(try file.contents(DERCursor.Tag.sequence))
        try file.end()
        let signed = try parts.element(DERCursor.Tag.sequence)
        let algorithm = try parts.element(DERCursor.Tag.sequence).whole
        let bits = try parts.contents(DERCursor.Tag.bitString)
        try parts.end()
        guard bits.count > 1, bits[0] == 0 else { throw Self.refusal("its signature cannot be decoded") }

        var list = DERCursor(signed.contents)
        let isVersion2 = try Self.isVersion2(&list)
        guard try list.element(DERCursor.Tag.sequence).whole.elementsEqual(algorithm) else {
            throw Self.refusal("it names two algorithms for one signature (RFC 5280 section 5.1.1.2)")
        }
        issuer = Array(try list.element(DERCursor.Tag.sequence).whole)
        thisUpdate = try ListTime(list.next()).unixSeconds()
        guard [DERCursor.Tag.utcTime, DERCursor.Tag.generalizedTime].contains(list.tag) else {
            throw Self.refusal("it does not say when the next one comes (nextUpdate, RFC 5280 section 5.1.2.5)")
        }
        nextUpdate = try ListTime(list.next()).unixSeconds()
        guard thisUpdate < nextUpdate else { throw Self.refusal("it ends before it begins") }
        if list.tag == DERCursor.Tag.sequence {
            serials = try RevokedEntries(list.contents(DERCursor.Tag.sequence), mayExtend: isVersion2).serials()
        } else {
            serials = SerialTable(shortCount: 0, longCount: 0)
        }
        signature = try ListSignature(algorithm: Array(algorithm), value: Array(bits.dropFirst()), of: signed.whole)
        fingerprint = Digest.sha256(bytes)
        if isVersion2, list.tag == DERCursor.Tag.context0 {
            var wrapped = DERCursor(try list.contents(DERCursor.Tag.context0))
            try readExtensions(try wrapped.contents(DERCursor.Tag.sequence))
            try wrapped.end()
        }
        try list.end()
    }

    /// Version 1 says nothing of it, and has no extensions (RFC 5280 §5.1.2.1).
    private static func isVersion2(_ list: inout DERCursor) throws(OpenSSLError) -> Bool {
        guard list.tag == DERCursor.Tag.integer else { return false }
        guard try list.contents(DERCursor.Tag.integer).elementsEqual([1]) else {
            throw refusal("it is of an unknown version")
        }
        return true
    }

    private mutating func readExtensions(_ contents: UnsafeRawBufferPointer) throws(OpenSSLError) {
        var list = DERCursor(contents)
        var seen: Set<[UInt8]> = []
        while !list.isAtEnd {
            let one = try list.nextExtension()
            guard seen.insert(Array(one.identifier)).inserted else { throw Self.refusal("an extension is there twice") }
            guard seen.count <= Self.extensionLimit else {
                throw Self.refusal("it has more than \(Self.extensionLimit) extensions")
            }
            switch one.number {
            case Identifier.delta: throw Self.refusal("it is a delta CRL: give the complete one")
            case Identifier.number: number = try Self.number(one.value)
            case Identifier.authorityKey: authorityKey = Array(one.value)
            case Identifier.distributionPoint: scope = try Self.scope(one.value)
            default: if one.isCritical { throw Self.refusal("a critical extension of it is unknown") }
            }
        }
    }

    private static func number(_ value: UnsafeRawBufferPointer) throws(OpenSSLError) -> [UInt8] {
        var outer = DERCursor(value)
        let contents = try outer.contents(DERCursor.Tag.integer)
        try outer.end()
        guard let first = contents.first, first < 0x80, contents.count == 1 || first != 0 || contents[1] >= 0x80,
            contents.count <= numberOctetLimit + (first == 0 ? 1 : 0)
        else { throw refusal("its number is negative or too long") }
        return Array(contents.drop { $0 == 0 })
    }

    private static func scope(_ value: UnsafeRawBufferPointer) throws(OpenSSLError) -> RevocationList.Scope {
        var next = value.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let end = next.map { $0 + value.count }
        guard let point = d2i_ISSUING_DIST_POINT(nil, &next, value.count) else {
            ErrorStack.clear()
            throw refusal("its issuing distribution point cannot be decoded")
        }
        defer { ISSUING_DIST_POINT_free(point) }
        guard next == end else { throw refusal("its issuing distribution point cannot be decoded") }
        if point.pointee.indirectCRL > 0 { throw refusal("it is an indirect CRL: give one for each authority") }
        if point.pointee.onlysomereasons != nil || point.pointee.onlyattr > 0 || point.pointee.distpoint != nil {
            throw refusal("it covers only some reasons or one distribution point: give the complete one")
        }
        switch (point.pointee.onlyuser > 0, point.pointee.onlyCA > 0) {
        case (true, true): throw refusal("it covers nothing")
        case (true, false): return .leaves
        case (false, true): return .authorities
        case (false, false): return .all
        }
    }

    static func refusal(_ reason: String) -> OpenSSLError { OpenSSLError("read a CRL", reason) }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 §5.1.2.4): no fractions, no other zone.
struct ListTime {
    private let digits: UnsafeRawBufferPointer
    private let hasCentury: Bool

    init(_ element: DERCursor.Element) throws(OpenSSLError) {
        let contents = element.contents
        hasCentury = element.tag == DERCursor.Tag.generalizedTime
        guard hasCentury || element.tag == DERCursor.Tag.utcTime, contents.count == (hasCentury ? 15 : 13),
            contents.last == UInt8(ascii: "Z"), contents.dropLast().allSatisfy({ (0x30...0x39).contains($0) })
        else { throw Self.refusal }
        digits = contents
    }

    /// Since 1970.
    func unixSeconds() throws(OpenSSLError) -> Int64 {
        var numbers = stride(from: 0, to: digits.count - 1, by: 2).map { index in
            Int32(digits[index] - 0x30) * 10 + Int32(digits[index + 1] - 0x30)
        }
        let century = hasCentury ? numbers.removeFirst() : numbers[0] < 50 ? 20 : 19
        var time = tm()
        time.tm_year = century * 100 + numbers[0] - 1900
        (time.tm_mon, time.tm_mday) = (numbers[1] - 1, numbers[2])
        (time.tm_hour, time.tm_min, time.tm_sec) = (numbers[3], numbers[4], numbers[5])
        let wanted = time
        let seconds = timegm(&time)
        // What there is no such day or minute of is moved to where it would be.
        guard time.tm_mon == wanted.tm_mon, time.tm_mday == wanted.tm_mday, time.tm_hour == wanted.tm_hour,
            time.tm_min == wanted.tm_min, time.tm_sec == wanted.tm_sec
        else { throw Self.refusal }
        return Int64(seconds)
    }

    private static let refusal = OpenSSLError("read a CRL", "its date cannot be decoded")
}
