import COpenSSL

/// The fields of one `X509_CRL`, read once.
///
/// Refused is what would have to be read together with something else, or not as it seems: deltas, indirect lists,
/// lists for some reasons or for one distribution point alone, and critical extensions that are not understood.
struct RevocationListFields {
    let issuer: DistinguishedName
    let thisUpdate: Int64
    let nextUpdate: Int64
    /// Big-endian, without leading zeros.
    let number: [UInt8]?
    /// The DER of the authority key identifier; empty if there is none.
    let authorityKey: [UInt8]
    let scope: RevocationList.Scope
    /// Sorted.
    let serials: [SerialNumber]

    /// SHA-1 and older are refused in certificates too (SSL_CTX_set_security_level(3)).
    private static let weakDigests: Set<Int32> = [
        NID_md2, NID_md4, NID_md5, NID_mdc2, NID_ripemd160, NID_sha, NID_sha1,
    ]

    init(_ pointer: OpaquePointer) throws(OpenSSLError) {
        guard let name = X509_CRL_get_issuer(pointer) else { throw Self.refusal("it has no issuer") }
        issuer = try DistinguishedName(name, of: "issuer")
        guard let thisUpdate = unixSeconds(X509_CRL_get0_lastUpdate(pointer)) else {
            throw Self.refusal("its date cannot be decoded")
        }
        guard let nextUpdate = unixSeconds(X509_CRL_get0_nextUpdate(pointer)) else {
            throw Self.refusal("it does not say when the next one comes (nextUpdate, RFC 5280 §5.1.2.5)")
        }
        guard thisUpdate < nextUpdate else { throw Self.refusal("it ends before it begins") }
        self.thisUpdate = thisUpdate
        self.nextUpdate = nextUpdate
        var digest: Int32 = 0
        guard OBJ_find_sigid_algs(X509_CRL_get_signature_nid(pointer), &digest, nil) == 1,
            !Self.weakDigests.contains(digest)
        else { throw Self.refusal("its signature is too weak") }
        scope = try Self.scope(pointer)
        number = try Self.number(pointer)
        authorityKey = Self.data(of: NID_authority_key_identifier, in: pointer)
        serials = try Self.serials(pointer)
    }

    private static func scope(_ pointer: OpaquePointer) throws(OpenSSLError) -> RevocationList.Scope {
        var seen: Set<Int32> = []
        for index in 0..<max(0, X509_CRL_get_ext_count(pointer)) {
            let one = X509_CRL_get_ext(pointer, index)
            let kind = OBJ_obj2nid(X509_EXTENSION_get_object(one))
            if kind == NID_delta_crl { throw refusal("it is a delta CRL: give the complete one") }
            let isKnown = [NID_crl_number, NID_authority_key_identifier, NID_issuing_distribution_point].contains(kind)
            guard isKnown || X509_EXTENSION_get_critical(one) == 0 else {
                throw refusal("a critical extension of it is unknown")
            }
            guard !isKnown || seen.insert(kind).inserted else { throw refusal("an extension is there twice") }
        }
        guard seen.contains(NID_issuing_distribution_point) else { return .all }
        guard let decoded = X509_CRL_get_ext_d2i(pointer, NID_issuing_distribution_point, nil, nil) else {
            throw refusal("its issuing distribution point cannot be decoded")
        }
        let point = decoded.assumingMemoryBound(to: ISSUING_DIST_POINT.self)
        defer { ISSUING_DIST_POINT_free(point) }
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

    private static func number(_ pointer: OpaquePointer) throws(OpenSSLError) -> [UInt8]? {
        guard X509_CRL_get_ext_by_NID(pointer, NID_crl_number, -1) >= 0 else { return nil }
        guard let decoded = X509_CRL_get_ext_d2i(pointer, NID_crl_number, nil, nil) else {
            throw refusal("its number cannot be decoded")
        }
        let number = decoded.assumingMemoryBound(to: ASN1_INTEGER.self)
        defer { ASN1_INTEGER_free(number) }
        guard ASN1_STRING_type(number) == V_ASN1_INTEGER, ASN1_STRING_length(number) <= 20 else {
            throw refusal("its number is negative or too long")
        }
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(number), count: Int(ASN1_STRING_length(number)))
        return Array(bytes.drop { $0 == 0 })
    }

    private static func data(of kind: Int32, in pointer: OpaquePointer) -> [UInt8] {
        let index = X509_CRL_get_ext_by_NID(pointer, kind, -1)
        guard index >= 0, let data = X509_EXTENSION_get_data(X509_CRL_get_ext(pointer, index)) else { return [] }
        return Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(data), count: Int(ASN1_STRING_length(data))))
    }

    private static func serials(_ pointer: OpaquePointer) throws(OpenSSLError) -> [SerialNumber] {
        guard let entries = X509_CRL_get_REVOKED(pointer) else { return [] }
        let count = COpenSSL_sk_X509_REVOKED_num(entries)
        var serials: [SerialNumber] = []
        serials.reserveCapacity(Int(max(0, count)))
        for index in 0..<max(0, count) {
            let entry = COpenSSL_sk_X509_REVOKED_value(entries, index)
            for extra in 0..<max(0, X509_REVOKED_get_ext_count(entry)) {
                let one = X509_REVOKED_get_ext(entry, extra)
                // A critical one may give the entry to another authority (RFC 5280 §5.3.3).
                guard X509_EXTENSION_get_critical(one) == 0 else {
                    throw refusal("an entry has a critical extension")
                }
            }
            guard let serial = SerialNumber(X509_REVOKED_get0_serialNumber(entry)) else {
                throw refusal("an entry has a serial number of more than 20 octets")
            }
            serials.append(serial)
        }
        serials.sort()
        return serials
    }

    private static func refusal(_ reason: String) -> OpenSSLError { OpenSSLError("read a CRL", reason) }
}
