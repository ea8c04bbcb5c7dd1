import OpenSSL

/// The key of one backup (BK): wraps the data key of each of its messages, and is itself wrapped by the plane.
package struct BackupKey: Sendable {
    static let length = 32

    /// A name of the plane's: letters, digits, `-` and `_`.
    package let id: String
    package let secret: SecretReference

    package init(id: String, secret: SecretReference) {
        self.id = id
        self.secret = secret
    }

    static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            }
    }

    func makeCipher() throws(OpenSSLError) -> AES256GCM {
        try secret.withSecret { (secret) throws(OpenSSLError) in try AES256GCM(key: secret) }
    }
}

/// A backup key that was just made, with its wrap for `keys.json`.
package struct CreatedBackupKey: Sendable {
    package let key: BackupKey
    package let kek: String
    package let wrapped: [UInt8]

    package init(key: BackupKey, kek: String, wrapped: [UInt8]) {
        self.key = key
        self.kek = kek
        self.wrapped = wrapped
    }
}

/// Who keeps backup keys; `nodeguard` connects it to the management plane. Each closure throws in its own words.
package struct KeyCustody: Sendable {
    package typealias Create = @Sendable (_ backup: String) async throws -> CreatedBackupKey
    package typealias Unwrap =
        @Sendable (_ id: String, _ wrapped: [UInt8], _ kek: String, _ reason: String) async throws -> SecretReference
    package typealias Delete = @Sendable (_ id: String) async throws -> Void

    let create: Create
    let unwrap: Unwrap
    /// Only a request: the plane deletes later, or when an operator confirms.
    let delete: Delete

    package init(create: @escaping Create, unwrap: @escaping Unwrap, delete: @escaping Delete) {
        self.create = create
        self.unwrap = unwrap
        self.delete = delete
    }
}
