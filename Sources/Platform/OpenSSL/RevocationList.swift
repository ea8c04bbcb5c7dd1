import COpenSSL
import IO
import Synchronization

/// What one authority has revoked (RFC 5280 §5): a complete list, strictly read, immutable.
///
/// Kept as a sorted table of serial numbers and what its signature is checked with: OpenSSL's form takes ten times the
/// memory, and hashes the whole list again for each chain that it verifies.
package final class RevocationList: Sendable {
    /// The certificates that a list speaks of.
    enum Scope: Hashable { case all, leaves, authorities }

    /// Lists of the same origin take each other's place.
    package struct Origin: Hashable, Sendable {
        let issuer: [UInt8]
        let authorityKey: [UInt8]
        let scope: Scope

        /// SHA-256 in hexadecimal; each part with its length before it.
        fileprivate var digest: String {
            let parts = [issuer, authorityKey, Array("\(scope)".utf8)]
            return hexadecimal(Digest.sha256(parts.flatMap { Array("\($0.count):".utf8) + $0 }))
        }
    }

    /// RFC 2253 text.
    package let issuer: String
    package let origin: Origin
    /// Seconds since 1970.
    package let thisUpdate: Int64
    package let nextUpdate: Int64
    /// SHA-256 of the whole list.
    package let fingerprint: [UInt8]
    private let numberBytes: [UInt8]?
    private let serials: SerialTable
    private let signature: ListSignature
    /// OpenSSL compares names in a canonical form of its own (RFC 5280 §7.1); never changed after `init`.
    private nonisolated(unsafe) let issuerName: OpaquePointer
    /// By the hash of a public key: whether it has signed this list.
    private let signers = Mutex<[[UInt8]: Bool]>([:])

    /// Of one file.
    package static let sizeLimit = 64 << 20
    package static let countLimit = 64
    private static let signerLimit = 64

    /// All lists of a file: in DER, one behind the other, or PEM blocks. Their signatures are checked under those of
    /// `issuers` that have the issuer's name; where there is none, the chain of a client must bring it.
    /// `othersHaveTheirNames`: as when one root follows another; then only those count that have the key, too.
    package static func parse(
        _ bytes: [UInt8], issuers: [Certificate] = [], othersHaveTheirNames: Bool = false
    ) throws(OpenSSLError) -> [RevocationList] {
        guard bytes.count <= sizeLimit else { throw OpenSSLError("read a CRL", "it is too large") }
        let signers = Signers(issuers, othersHaveTheirNames)
        if bytes.first == DERCursor.Tag.sequence { return try lists(inDER: bytes, signers) }
        let blocks = try PEMBlocks(label: "X509 CRL", of: "CRL", countLimit: countLimit).read(bytes, limit: sizeLimit)
        var lists: [RevocationList] = []
        for block in blocks { lists.append(try RevocationList(block.der, signers)) }
        return lists
    }

    private static func lists(
        inDER bytes: [UInt8], _ signers: Signers
    ) throws(OpenSSLError) -> [RevocationList] {
        try bytes.withUnsafeBytes { raw in
            Result { () throws(OpenSSLError) in
                var file = DERCursor(raw)
                var lists: [RevocationList] = []
                while !file.isAtEnd {
                    guard lists.count < countLimit else {
                        throw OpenSSLError("read a CRL", "there are more than \(countLimit) of them")
                    }
                    lists.append(try RevocationList(try file.next().whole, signers))
                }
                return lists
            }
        }.get()
    }

    /// The lists of a file that `parse` takes, each in DER.
    package static func encodings(in bytes: [UInt8]) throws(OpenSSLError) -> [[UInt8]] {
        guard bytes.first == DERCursor.Tag.sequence else {
            return try PEMBlocks(label: "X509 CRL", of: "CRL", countLimit: countLimit)
                .read(bytes, limit: sizeLimit).map(\.der)
        }
        return try bytes.withUnsafeBytes { raw in
            Result { () throws(OpenSSLError) in
                var file = DERCursor(raw)
                var encodings: [[UInt8]] = []
                while !file.isAtEnd { encodings.append(Array(try file.next().whole)) }
                return encodings
            }
        }.get()
    }

    /// Blocks while it reads.
    package static func parse(contentsOf path: String, issuers: [Certificate]) throws -> [RevocationList] {
        try parse(try Files.read(path, limit: sizeLimit), issuers: issuers)
    }

    private struct Signers {
        let certificates: [Certificate]
        let othersHaveTheirNames: Bool

        init(_ certificates: [Certificate], _ othersHaveTheirNames: Bool = false) {
            self.certificates = certificates
            self.othersHaveTheirNames = othersHaveTheirNames
        }
    }

    package convenience init(der: [UInt8], issuers: [Certificate] = []) throws(OpenSSLError) {
        try self.init(der, Signers(issuers))
    }

    private convenience init(_ der: [UInt8], _ signers: Signers) throws(OpenSSLError) {
        let fields = try der.withUnsafeBytes { raw in
            Result { () throws(OpenSSLError) in try RevocationListFields(raw) }
        }.get()
        try self.init(fields, signers)
    }

    private convenience init(_ der: UnsafeRawBufferPointer, _ signers: Signers) throws(OpenSSLError) {
        try self.init(try RevocationListFields(der), signers)
    }

    private init(_ fields: RevocationListFields, _ signers: Signers) throws(OpenSSLError) {
        let name = try IssuerName(fields.issuer)
        issuer = try DistinguishedName(name.pointer, of: "issuer").text
        thisUpdate = fields.thisUpdate
        nextUpdate = fields.nextUpdate
        numberBytes = fields.number
        serials = fields.serials
        signature = fields.signature
        fingerprint = fields.fingerprint
        origin = Origin(issuer: fields.issuer, authorityKey: fields.authorityKey, scope: fields.scope)
        issuerName = name.release()
        let key = signers.othersHaveTheirNames ? keyIdentifier(in: origin.authorityKey) : nil
        let named = signers.certificates.filter { isNamed($0) && $0.mayHave(keyIdentifier: key) }
        guard named.isEmpty || named.contains(where: isSigned) else {
            throw OpenSSLError("read a CRL", "its signature is not that of \(issuer)")
        }
    }

    deinit { X509_NAME_free(issuerName) }

    /// How many certificates are revoked.
    package var count: Int { serials.count }

    /// The number that the authority has given it, as decimal text, or in hexadecimal if it is very large.
    package var number: String? {
        guard let numberBytes else { return nil }
        if numberBytes.count <= 8 { return String(numberBytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) }
        return "0x" + hexadecimal(numberBytes)
    }

    /// By number where both have one (RFC 5280 §5.2.3), and by date.
    package func isOlder(than other: RevocationList) -> Bool {
        if let one = numberBytes, let two = other.numberBytes, one != two {
            return one.count == two.count ? one.lexicographicallyPrecedes(two) : one.count < two.count
        }
        return thisUpdate < other.thisUpdate
    }

    package var mark: RevocationMark {
        RevocationMark(
            origin: origin.digest, number: numberBytes.map { hexadecimal(Array($0.drop { $0 == 0 })) },
            thisUpdate: thisUpdate)
    }

    /// Whether this list is about certificates such as this one.
    func concerns(_ certificate: Certificate) -> Bool {
        if origin.scope == (certificate.isAuthority ? .leaves : .authorities) { return false }
        return X509_NAME_cmp(X509_get_issuer_name(certificate.pointer), issuerName) == 0
    }

    /// nil: the certificate's number is longer than any that a list can have.
    func contains(_ certificate: Certificate) -> Bool? {
        SerialNumber(X509_get0_serialNumber(certificate.pointer)).map(serials.contains)
    }

    private func isNamed(_ authority: Certificate) -> Bool {
        X509_NAME_cmp(X509_get_subject_name(authority.pointer), issuerName) == 0
    }

    /// Whether it is of this authority: name, key and key usage.
    package func isIssued(by authority: Certificate) -> Bool { isNamed(authority) && isSigned(by: authority) }

    /// The signature is checked once for each authority that may have made it.
    func isSigned(by authority: Certificate) -> Bool {
        if let usage = authority.keyUsage, !usage.contains(.listSigning) { return false }
        if let known = signers.withLock({ $0[authority.publicKeySHA256] }) { return known }
        let isGood = X509_get0_pubkey(authority.pointer).map(signature.isGood) ?? false
        signers.withLock { signers in
            if signers.count >= Self.signerLimit { signers.removeAll() }
            signers[authority.publicKeySHA256] = isGood
        }
        return isGood
    }
}

extension RevocationList: CustomStringConvertible {
    package var description: String { "CRL \(number ?? "without number") of \(issuer)" }
}

/// Of an authority key identifier (RFC 5280 §5.2.1); nil: it has none, or cannot be decoded.
private func keyIdentifier(in extensionValue: [UInt8]) -> [UInt8]? {
    if extensionValue.isEmpty { return nil }
    defer { ErrorStack.clear() }
    return extensionValue.withUnsafeBufferPointer { bytes -> [UInt8]? in
        var next = bytes.baseAddress
        guard let decoded = d2i_AUTHORITY_KEYID(nil, &next, bytes.count) else { return nil }
        defer { AUTHORITY_KEYID_free(decoded) }
        return decoded.pointee.keyid.map { octets in
            Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(octets), count: Int(ASN1_STRING_length(octets))))
        }
    }
}

extension Certificate {
    /// False if the key is told to be another: a root and the one that follows it have one name and two keys.
    fileprivate func mayHave(keyIdentifier wanted: [UInt8]?) -> Bool {
        guard let wanted, let own = X509_get0_subject_key_id(pointer) else { return true }
        return wanted.elementsEqual(
            UnsafeBufferPointer(start: ASN1_STRING_get0_data(own), count: Int(ASN1_STRING_length(own))))
    }
}

/// OpenSSL's form of a Name, which compares as RFC 5280 §7.1 wants; dropped unless released.
private struct IssuerName: ~Copyable {
    let pointer: OpaquePointer

    init(_ der: [UInt8]) throws(OpenSSLError) {
        pointer = try openSSL("read a CRL") { () -> OpaquePointer? in
            der.withUnsafeBufferPointer { bytes in
                var next = bytes.baseAddress
                return d2i_X509_NAME(nil, &next, bytes.count)
            }
        }
        ErrorStack.clear()
    }

    deinit { X509_NAME_free(pointer) }

    consuming func release() -> OpaquePointer {
        let pointer = pointer
        discard self
        return pointer
    }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined()
}
