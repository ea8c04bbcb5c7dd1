import OpenSSL
import PlaneAPI

/// Why a desired state is not applied; what was applied before stays.
package struct DesiredRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// Stable: in events, in the status, and in what the plane is told.
    package enum Reason: String, Sendable, CaseIterable {
        case malformedEnvelope = "malformed-envelope"
        case keyNotDelegated = "key-not-delegated"
        case keyOfAnotherCluster = "key-of-another-cluster"
        case signature
        case malformedPayload = "malformed-payload"
        case otherCluster = "other-cluster"
        case otherNode = "other-node"
        case olderVersion = "older-version"
        case sameVersion = "same-version"
        case olderKey = "older-key"
        case expired
        case fromTheFuture = "from-the-future"
        case agentTooOld = "agent-too-old"
        /// The plane has none any more.
        case withdrawn
        /// It does not fit this node's configuration.
        case notApplicable = "not-applicable"
        /// It was applied before, and what is on the disk cannot be used.
        case storedUnusable = "stored-unusable"
    }

    package let reason: Reason
    package let detail: String

    package init(_ reason: Reason, _ detail: String) {
        self.reason = reason
        self.detail = detail
    }

    package var description: String { "\(reason.rawValue): \(detail)" }
}
