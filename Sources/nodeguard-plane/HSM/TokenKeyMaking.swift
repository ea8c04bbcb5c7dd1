import CPKCS11

/// Keys that are made in the token, and seen to be what was asked for.
extension TokenSession {
    /// P-256. The public point, X9.62 without compression.
    func makeSigningKey(_ id: [UInt8], label: String) throws(TokenError) -> [UInt8] {
        var (open, secret) = (TokenTemplate(id, label), TokenTemplate(id, label))
        open.bytes(CKA_EC_PARAMS, Self.prime256v1)
        open.flag(CKA_VERIFY, true)
        secret.confine()
        secret.flag(CKA_SIGN, true)
        secret.flag(CKA_DERIVE, false)
        var mechanism = CK_MECHANISM(
            mechanism: CK_MECHANISM_TYPE(CKM_EC_KEY_PAIR_GEN), pParameter: nil, ulParameterLen: 0)
        var (publicHalf, privateHalf) = (CK_OBJECT_HANDLE(0), CK_OBJECT_HANDLE(0))
        let state = open.withAttributes { openAttributes, openCount in
            secret.withAttributes {
                functions.C_GenerateKeyPair(
                    handle, &mechanism, openAttributes, openCount, $0, $1, &publicHalf, &privateHalf)
            }
        }
        try require(state, "make a key")
        return try keeping(id) { () throws(TokenError) in
            try requireConfined(privateHalf)
            // In an OCTET STRING (PKCS #11 v2.40 §2.3.3), or bare as some modules have it.
            let point = Array(try value(CKA_EC_POINT, of: publicHalf).suffix(65))
            guard point.count == 65, point.first == 0x04 else { throw .refused("the token made no key of P-256") }
            return point
        }
    }

    /// AES-256, for AES-GCM alone: one that also wrapped keys would bring others out (Clulow, "On the Security of
    /// PKCS #11", 2003).
    func makeWrappingKey(_ id: [UInt8], label: String) throws(TokenError) {
        var template = TokenTemplate(id, label)
        template.confine()
        template.number(CKA_VALUE_LEN, 32)
        for use in [CKA_ENCRYPT, CKA_DECRYPT] { template.flag(use, true) }
        for use in Self.otherUses { template.flag(use, false) }
        var mechanism = CK_MECHANISM(mechanism: CK_MECHANISM_TYPE(CKM_AES_KEY_GEN), pParameter: nil, ulParameterLen: 0)
        var key: CK_OBJECT_HANDLE = 0
        try require(
            template.withAttributes { functions.C_GenerateKey(handle, &mechanism, $0, $1, &key) }, "make a key")
        try keeping(id) { () throws(TokenError) in
            try requireConfined(key)
            for use in Self.otherUses where try value(use, of: key) != [0] {
                throw .refused("the token made a key that can bring out others; it was destroyed")
            }
        }
    }

    private static let otherUses = [CKA_WRAP, CKA_UNWRAP]

    /// A key that is not as it must be does not stay.
    private func keeping<Value>(
        _ id: [UInt8], _ check: () throws(TokenError) -> Value
    ) throws(TokenError) -> Value {
        do throws(TokenError) {
            return try check()
        } catch {
            try destroy(id)
            throw error
        }
    }

    /// A token may take a template and do as it likes: what it says of the key afterwards counts.
    private func requireConfined(_ key: CK_OBJECT_HANDLE) throws(TokenError) {
        let wanted: [(UInt, UInt8)] = [
            (CKA_TOKEN, 1), (CKA_PRIVATE, 1), (CKA_SENSITIVE, 1), (CKA_ALWAYS_SENSITIVE, 1), (CKA_EXTRACTABLE, 0),
            (CKA_NEVER_EXTRACTABLE, 1), (CKA_LOCAL, 1),
        ]
        for (attribute, truth) in wanted where try value(attribute, of: key) != [truth] {
            throw .refused("the token made a key that can leave it, or does not stay in it; it was destroyed")
        }
    }

    private func value(_ type: UInt, of key: CK_OBJECT_HANDLE) throws(TokenError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 256)
        var count: CK_ULONG = 0
        let state = bytes.withUnsafeMutableBytes { storage in
            var attribute = CK_ATTRIBUTE(
                type: CK_ATTRIBUTE_TYPE(type), pValue: storage.baseAddress, ulValueLen: CK_ULONG(storage.count))
            defer { count = attribute.ulValueLen }
            return functions.C_GetAttributeValue(handle, key, &attribute, 1)
        }
        try require(state, "tell about a key")
        guard count != CPKCS11_UNAVAILABLE else { throw .refused("the token does not tell about its key") }
        return Array(bytes.prefix(Int(count)))
    }

    /// RFC 5480 §2.1.1.1.
    private static let prime256v1: [UInt8] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
}

/// Attributes of a key that is looked for or made.
struct TokenTemplate {
    private var entries: [(type: UInt, value: [UInt8])] = []

    init() {}

    /// Of one that stays in the token.
    init(_ id: [UInt8], _ label: String) {
        flag(CKA_TOKEN, true)
        bytes(CKA_ID, id)
        bytes(CKA_LABEL, Array(label.utf8))
    }

    mutating func confine() {
        flag(CKA_PRIVATE, true)
        flag(CKA_SENSITIVE, true)
        flag(CKA_EXTRACTABLE, false)
    }

    mutating func bytes(_ type: UInt, _ value: [UInt8]) { entries.append((type, value)) }
    mutating func flag(_ type: UInt, _ value: Bool) { bytes(type, [value ? 1 : 0]) }
    mutating func number(_ type: UInt, _ value: CK_ULONG) { bytes(type, withUnsafeBytes(of: value) { Array($0) }) }

    /// They live as long as `body` runs. Each value has memory of its own, which begins where a number may.
    func withAttributes(_ body: (UnsafeMutablePointer<CK_ATTRIBUTE>?, CK_ULONG) -> CK_RV) -> CK_RV {
        var attributes = entries.map { entry in
            let place = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(1, entry.value.count), alignment: MemoryLayout<CK_ULONG>.alignment)
            place.copyBytes(from: entry.value)
            return CK_ATTRIBUTE(
                type: CK_ATTRIBUTE_TYPE(entry.type), pValue: place.baseAddress, ulValueLen: CK_ULONG(entry.value.count))
        }
        defer { for attribute in attributes { attribute.pValue?.deallocate() } }
        return attributes.withUnsafeMutableBufferPointer { body($0.baseAddress, CK_ULONG($0.count)) }
    }
}
