import COpenSSL

/// What a request says beside names and usages: with which digest it is signed, and extensions that somebody else
/// wrote.
package struct RequestDetails: Sendable, Equatable {
    package enum Digest: String, Sendable, CaseIterable {
        case sha256, sha384, sha512
    }

    package struct Extension: Sendable, Equatable {
        /// Its object identifier, in dotted form.
        package let identifier: String
        package let isCritical: Bool
        /// The content of its extnValue.
        package let value: [UInt8]

        package init(identifier: String, isCritical: Bool, value: [UInt8]) {
            self.identifier = identifier
            self.isCritical = isCritical
            self.value = value
        }
    }

    /// nil: the one that belongs to the key.
    package var digest: Digest?
    package var extensions: [Extension]

    package init(digest: Digest? = nil, extensions: [Extension] = []) {
        self.digest = digest
        self.extensions = extensions
    }

    package static let standard = RequestDetails()

    /// nil for Ed25519, which has its own.
    func digest(for key: OpaquePointer) -> OpaquePointer? {
        guard let usual = signatureDigest(key), let digest else { return signatureDigest(key) }
        return switch digest {
        case .sha256: EVP_sha256() ?? usual
        case .sha384: EVP_sha384() ?? usual
        case .sha512: EVP_sha512() ?? usual
        }
    }

    func add(to list: inout OpaquePointer?) -> Bool { extensions.allSatisfy { Self.add($0, to: &list) } }

    private static func add(_ one: Extension, to list: inout OpaquePointer?) -> Bool {
        guard let object = OBJ_txt2obj(one.identifier, 1) else { return false }
        defer { ASN1_OBJECT_free(object) }
        guard let value = ASN1_STRING_type_new(V_ASN1_OCTET_STRING) else { return false }
        defer { ASN1_STRING_free(value) }
        guard ASN1_STRING_set(value, one.value, Int32(one.value.count)) == 1,
            let made = X509_EXTENSION_create_by_OBJ(nil, object, one.isCritical ? 1 : 0, value)
        else { return false }
        defer { X509_EXTENSION_free(made) }
        return X509v3_add_ext(&list, made, -1) != nil
    }
}
