import FoundationEssentials

/// How a node whose identity has expired proves who it is: with a key that it registered while the identity was good.
/// The proof is the password of EST's HTTP Basic, with the node as the user (RFC 7030 §3.2.3).
package enum Recovery {
    /// `PUT`, under the node identity.
    package static let path = "/v1/recovery"
    /// `POST`, by anybody.
    package static let challengePath = "/v1/recovery/challenge"
    /// How long a challenge may be answered, in seconds.
    package static let challengeLifetime: Int64 = 60
    /// The reason of a plane that takes no proof of this node any more (423).
    package static let locked = "locked"

    private static let context = "nodeguard recovery 1"

    /// What the recovery key signs: ECDSA with SHA-256. None of the four has a line break.
    package static func signedBytes(
        challenge: String, cluster: String, node: String, requestDigest: [UInt8]
    ) -> [UInt8] {
        Array("\(context)\n\(cluster)\n\(node)\n\(challenge)\n".utf8) + requestDigest
    }

    /// What a join token never looks like.
    package static func password(challenge: String, signature: [UInt8]) -> String {
        "recovery.\(challenge).\(Base64URL.encode(Data(signature)))"
    }

    /// nil: it is something else, such as a join token.
    package static func parts(ofPassword text: String) -> (challenge: String, signature: [UInt8])? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "recovery", text.utf8.count < 1000,
            let signature = Base64URL.decode(String(parts[2]))
        else { return nil }
        return (String(parts[1]), Array(signature))
    }
}

/// The body of `PUT /v1/recovery`.
package struct RecoveryKey: Codable, Sendable {
    /// SubjectPublicKeyInfo in DER, of P-256.
    package let publicKey: Data

    package init(publicKey: Data) { self.publicKey = publicKey }

    private enum CodingKeys: String, CodingKey { case publicKey = "public_key" }
}

/// The body of `POST /v1/recovery/challenge`.
package struct RecoveryQuestion: Codable, Sendable {
    package let cluster: String
    package let node: String
    /// How often this node has recovered: another number than the plane's means that there are two of it.
    package let uses: Int64

    package init(cluster: String, node: String, uses: Int64) {
        self.cluster = cluster
        self.node = node
        self.uses = uses
    }
}

/// Its answer.
package struct RecoveryChallenge: Codable, Sendable {
    package let challenge: String

    package init(challenge: String) { self.challenge = challenge }
}
