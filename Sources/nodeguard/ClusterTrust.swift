import OpenSSL
import Synchronization

/// Under whom clients are let in: this cluster's own intermediates, where the plane has any, for other clusters hang
/// under the same root. Once there were some, the root alone is never enough again.
final class ClusterTrust: Sendable {
    private let hasIntermediates = Mutex(false)

    /// nil: what was published before stays in force.
    func anchors(of trust: TrustAnchors) -> TrustAnchors? {
        let intermediates = trust.certificates.filter { !$0.isSelfSigned }
        if intermediates.isEmpty { return hasIntermediates.withLock(\.self) ? nil : trust }
        hasIntermediates.withLock { $0 = true }
        return try? TrustAnchors(intermediates, pinsIntermediates: true)
    }
}
