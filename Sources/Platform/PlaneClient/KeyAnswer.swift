import FoundationEssentials
import OpenSSL

/// The plane's answers that hold a key in clear, read from the memory that they arrived in: the key goes from there
/// into a secret of its own, and is nowhere else.
enum KeyAnswer {
    private static let keyLength = 32
    /// With a wrap by some other service's key, which may be long.
    static let sizeLimit = 16 << 10

    static func created(_ answer: SecretReference, doing what: String) throws(PlaneError) -> DataKey {
        try answer.withBytes { (bytes) throws(PlaneError) in
            let object = try object(bytes, what)
            guard let id = object.text("id", in: bytes), let kek = object.text("kek", in: bytes),
                let base64 = object.text("wrapped", in: bytes),
                let wrapped = Data(base64Encoded: base64.replacing("\\/", with: "/"))
            else { throw unexpected(what) }
            return DataKey(id: id, secret: try key(object, bytes, what), wrapped: Array(wrapped), kek: kek)
        }
    }

    static func unwrapped(_ answer: SecretReference, doing what: String) throws(PlaneError) -> SecretReference {
        try answer.withBytes { (bytes) throws(PlaneError) in try key(try object(bytes, what), bytes, what) }
    }

    private static func object(_ bytes: Span<UInt8>, _ what: String) throws(PlaneError) -> FlatObject {
        guard let object = FlatObject(bytes) else { throw unexpected(what) }
        return object
    }

    private static func key(
        _ object: FlatObject, _ bytes: Span<UInt8>, _ what: String
    ) throws(PlaneError) -> SecretReference {
        guard let range = object.texts["key"], let key = SecretBytes.decoding(base64: bytes, in: range) else {
            throw unexpected(what)
        }
        guard key.count == keyLength else { throw PlaneError(.protocolError, "the plane's key is not 32 bytes long") }
        return SecretReference(key)
    }

    private static func unexpected(_ what: String) -> PlaneError {
        PlaneError(.protocolError, "\(what): the plane's answer is not the JSON that was expected")
    }
}
