import FoundationEssentials
import OpenSSL

/// What lies on the disk in place of a key that is in a token: where it is, and how it is found there. No secret.
package struct KeyReference: Codable, Sendable {
    private var schema = 1
    /// As it was configured when the key was made.
    let store: String
    /// The key's name in the token, or the key itself as a TPM has wrapped it.
    let key: Data
    /// SubjectPublicKeyInfo; nil: it was about to be made.
    let publicKey: Data?

    init(store: KeyStore, key: [UInt8], publicKey: [UInt8]?) {
        self.store = store.text
        self.key = Data(key)
        self.publicKey = publicKey.map { Data($0) }
    }

    package init(reading bytes: [UInt8]) throws(OpenSSLError) {
        guard let found = try? JSONDecoder().decode(KeyReference.self, from: Data(bytes)), found.schema == 1 else {
            throw OpenSSLError("read where a key is", "it is not the JSON that was written")
        }
        self = found
    }

    package func isSameKey(_ other: KeyReference) -> Bool { key == other.key }

    /// Without module and PIN, for people.
    package var place: String { String(store.prefix { $0 != "?" }) }

    /// In the token; nil: the key itself is here, wrapped.
    package var name: String? { store.hasPrefix("pkcs11:") ? Hex.text(Array(key)) : nil }

    package var bytes: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(self)) + [0x0A]
        } catch {
            preconditionFailure("strings do not become JSON: \(error)")
        }
    }
}
