import FoundationEssentials

/// `POST /v1/keys`: asks for a new backup key. `context` is bound to the key by the plane (cluster, backup).
package struct KeyCreation: Codable, Sendable {
    package let backup: String

    package init(backup: String) { self.backup = backup }
}

/// The answer to `KeyCreation`: the key in clear, once, and its wrap under the plane's wrapping key.
package struct CreatedKey: Codable, Sendable {
    package let id: String
    /// 32 bytes.
    package var key: Data
    package let wrapped: Data
    /// Which wrapping key, and which version of it.
    package let kek: String

    package init(id: String, key: Data, wrapped: Data, kek: String) {
        self.id = id
        self.key = key
        self.wrapped = wrapped
        self.kek = kek
    }
}

/// `POST /v1/keys/ID/unwrap`: asks for a key of one's own cluster, saying why (audited by the plane).
package struct KeyUnwrapping: Codable, Sendable {
    package let wrapped: Data
    package let kek: String
    package let reason: String

    package init(wrapped: Data, kek: String, reason: String) {
        self.wrapped = wrapped
        self.kek = kek
        self.reason = reason
    }
}

package struct UnwrappedKey: Codable, Sendable {
    package var key: Data

    package init(key: Data) { self.key = key }
}

/// The answer to `POST /v1/keys/ID/deletion`: only a request. It takes effect at `effectiveAt` (seconds since 1970), so
/// that a stolen node identity cannot destroy backups at once; until then the key can be unwrapped.
package struct KeyDeletion: Codable, Sendable, Equatable {
    package let id: String
    package let effectiveAt: Int64

    package init(id: String, effectiveAt: Int64) {
        self.id = id
        self.effectiveAt = effectiveAt
    }
}

/// The paths of key custody.
package enum Keys {
    package static let path = "/v1/keys"

    package static func unwrapPath(id: String) -> String { "\(path)/\(id)/unwrap" }
    package static func deletionPath(id: String) -> String { "\(path)/\(id)/deletion" }
}
