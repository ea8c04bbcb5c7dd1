import CPKCS11
import OpenSSL

/// Keys made in a token, and what is known of them outside.
extension PKCS11Backend {
    func generate(
        _ kind: KeyKind, name: [UInt8], label: String
    ) throws(TokenError) -> (key: [UInt8], publicKey: [UInt8]) {
        var (open, secret) = Self.templates(name: name, label: label)
        let mechanism: CK_MECHANISM_TYPE
        switch kind {
        case .ecP256, .ecP384:
            mechanism = CK_MECHANISM_TYPE(CKM_EC_KEY_PAIR_GEN)
            open.add(CK_ATTRIBUTE_TYPE(CKA_EC_PARAMS), PKCS11Key.curve(kind))
        case .rsa3072:
            mechanism = CK_MECHANISM_TYPE(CKM_RSA_PKCS_KEY_PAIR_GEN)
            open.add(CK_ATTRIBUTE_TYPE(CKA_MODULUS_BITS), CK_ULONG(3072))
            open.add(CK_ATTRIBUTE_TYPE(CKA_PUBLIC_EXPONENT), [1, 0, 1])
        case .ed25519: throw .refused("no keys of the kind ed25519 are made in a token")
        }
        var words = CK_MECHANISM(mechanism: mechanism, pParameter: nil, ulParameterLen: 0)
        var (publicHalf, privateHalf) = (CK_OBJECT_HANDLE(0), CK_OBJECT_HANDLE(0))
        let state = open.withAttributes { openAttributes, openCount in
            secret.withAttributes { attributes, count in
                functions.C_GenerateKeyPair(
                    session, &words, openAttributes, openCount, attributes, count, &publicHalf, &privateHalf)
            }
        }
        try check(state, "make a key")
        do throws(TokenError) {
            try requireConfined(privateHalf)
            return (name, try publicKey(kind, publicHalf))
        } catch {
            try destroy(key: name)
            throw error
        }
    }

    private static func templates(name: [UInt8], label: String) -> (PKCS11Template, PKCS11Template) {
        var named = PKCS11Template()
        named.add(CK_ATTRIBUTE_TYPE(CKA_TOKEN), true)
        named.add(CK_ATTRIBUTE_TYPE(CKA_ID), name)
        named.add(CK_ATTRIBUTE_TYPE(CKA_LABEL), Array(label.utf8))
        var (open, secret) = (named, named)
        open.add(CK_ATTRIBUTE_TYPE(CKA_VERIFY), true)
        secret.add(CK_ATTRIBUTE_TYPE(CKA_PRIVATE), true)
        secret.add(CK_ATTRIBUTE_TYPE(CKA_SENSITIVE), true)
        secret.add(CK_ATTRIBUTE_TYPE(CKA_EXTRACTABLE), false)
        secret.add(CK_ATTRIBUTE_TYPE(CKA_SIGN), true)
        return (open, secret)
    }

    /// A token may take a template and do as it likes: what it says of the key afterwards counts.
    private func requireConfined(_ key: CK_OBJECT_HANDLE) throws(TokenError) {
        for (attribute, wanted) in [(CKA_SENSITIVE, UInt8(1)), (CKA_EXTRACTABLE, 0), (CKA_LOCAL, 1)] {
            guard try value(CK_ATTRIBUTE_TYPE(attribute), of: key) == [wanted] else {
                throw .refused("the token made a key that can leave it; it was destroyed")
            }
        }
    }

    private func publicKey(_ kind: KeyKind, _ key: CK_OBJECT_HANDLE) throws(TokenError) -> [UInt8] {
        guard kind != .rsa3072 else {
            return PKCS11Key.rsa(
                modulus: try value(CK_ATTRIBUTE_TYPE(CKA_MODULUS), of: key),
                exponent: try value(CK_ATTRIBUTE_TYPE(CKA_PUBLIC_EXPONENT), of: key))
        }
        return PKCS11Key.ec(kind, point: try value(CK_ATTRIBUTE_TYPE(CKA_EC_POINT), of: key))
    }

    private func value(_ type: CK_ATTRIBUTE_TYPE, of key: CK_OBJECT_HANDLE) throws(TokenError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 1024)
        var count: CK_ULONG = 0
        let state = bytes.withUnsafeMutableBytes { storage in
            var attribute = CK_ATTRIBUTE(
                type: type, pValue: storage.baseAddress, ulValueLen: CK_ULONG(storage.count))
            defer { count = attribute.ulValueLen }
            return functions.C_GetAttributeValue(session, key, &attribute, 1)
        }
        try check(state, "tell about a key")
        guard count != CPKCS11_UNAVAILABLE else { throw .refused("the token does not tell about its key") }
        return Array(bytes.prefix(Int(count)))
    }
}

/// DER (X.690) around what a token says.
enum PKCS11Key {
    /// RFC 5480 §2.1.1.1: prime256v1, secp384r1.
    static func curve(_ kind: KeyKind) -> [UInt8] {
        kind == .ecP384
            ? [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22] : [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
    }

    /// SubjectPublicKeyInfo. `point`: in an OCTET STRING (PKCS #11 v2.40), or bare as some modules have it.
    static func ec(_ kind: KeyKind, point: [UInt8]) -> [UInt8] {
        let length = kind == .ecP384 ? 97 : 65
        let algorithm: [UInt8] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01] + curve(kind)
        return element(0x30, element(0x30, algorithm) + element(0x03, [0] + point.suffix(length)))
    }

    static func rsa(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
        let algorithm: [UInt8] = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00]
        let key = element(0x30, integer(modulus[...]) + integer(exponent[...]))
        return element(0x30, element(0x30, algorithm) + element(0x03, [0] + key))
    }

    /// Two numbers of the same length become a SEQUENCE of INTEGERs (RFC 3279 §2.2.3).
    static func signatureDER(_ halves: [UInt8]) -> [UInt8] {
        let middle = halves.count / 2
        return element(0x30, integer(halves[..<middle]) + integer(halves[middle...]))
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.isEmpty || digits[0] & 0x80 != 0 { digits.insert(0, at: 0) }
        return element(0x02, digits)
    }

    private static func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
        let count = contents.count
        let length: [UInt8] =
            count < 0x80
            ? [UInt8(count)]
            : count < 0x100 ? [0x81, UInt8(count)] : [0x82, UInt8(count >> 8), UInt8(count & 0xFF)]
        return [tag] + length + contents
    }
}
