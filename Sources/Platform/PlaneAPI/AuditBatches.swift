import FoundationEssentials

/// The node's audit log as the plane sees it. One log per (node, epoch); its origin is `nodeguard/<node>/<epoch>`.
///
/// `PUT /v1/nodes/self/audit/EPOCH/key` registers the log's Ed25519 key (`AuditKey`), once per epoch, idempotent. `PUT
/// /v1/nodes/self/audit/EPOCH/FIRST-LAST` brings a batch: each event's canonical JSON followed by LF, then an empty
/// line, then a signed checkpoint (C2SP tlog-checkpoint) of size LAST. Sequence numbers start at 1; leaf `n` of the RFC
/// 6962 tree is event `n + 1`; a leaf's data is the event's canonical JSON without its LF.
package enum AuditBatches {
    package static let contentType = "application/x-nodeguard-audit"
    /// Larger batches are answered 413.
    package static let sizeLimit = 1 << 20

    /// `GET` answers with the C2SP verifier key of the plane's cosignatures, one line of text.
    package static let witnessPath = "/v1/audit/witness"
    package static let witnessLimit = 1024

    package static func path(epoch: UInt64, first: UInt64, last: UInt64) -> String {
        "/v1/nodes/self/audit/\(epoch)/\(first)-\(last)"
    }

    package static func keyPath(epoch: UInt64) -> String { "/v1/nodes/self/audit/\(epoch)/key" }
    package static func origin(node: String, epoch: UInt64) -> String { "nodeguard/\(node)/\(epoch)" }
    /// Of the plane's own log; `plane` is the id of its key.
    package static func planeOrigin(_ plane: String) -> String { "nodeguard-plane/\(plane)" }
}

package struct AuditKey: Codable, Sendable {
    /// The raw 32 bytes of the Ed25519 public key.
    package let publicKey: Data

    package init(publicKey: Data) { self.publicKey = publicKey }
}

/// 200: everything up to `acknowledged` is durable at the plane. `cosignature`: a signed-note line of the plane over
/// the checkpoint (C2SP tlog-cosignature).
package struct AuditAcknowledgement: Codable, Sendable, Equatable {
    package let acknowledged: UInt64
    package let cosignature: String?

    package init(acknowledged: UInt64, cosignature: String?) {
        self.acknowledged = acknowledged
        self.cosignature = cosignature
    }
}

/// 409: the plane expects sequence number `next`.
package struct AuditConflict: Codable, Sendable, Equatable {
    package let next: UInt64

    package init(next: UInt64) { self.next = next }
}

/// The body of every refusal of the plane's own API.
package struct PlaneRefusal: Codable, Sendable, Equatable {
    /// Stable, in kebab case: `name-not-allowed`, `token-spent`, `revoked`, …
    package let reason: String
    package let detail: String

    package init(reason: String, detail: String) {
        self.reason = reason
        self.detail = detail
    }
}
