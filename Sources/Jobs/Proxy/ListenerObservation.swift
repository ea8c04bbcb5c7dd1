import OpenSSL
import Reports

/// What one listener or tunnel really works with, for whoever compares it with what was meant.
package struct ListenerObservation: Sendable {
    package let name: String
    package let isTunnel: Bool
    package let roles: [String]
    /// nil: it waits for its trust.
    package let anchors: [Certificate]?
    /// The certificate that it shows first; nil: none yet.
    package let served: Certificate?
    /// Verified peers since the start, by SHA-256 of their issuer's SubjectPublicKeyInfo.
    package let issuers: [[UInt8]: UInt64]
    /// Peers that have ended their handshake with the alert "unknown CA".
    package let unknownCA: UInt64
    /// Of these the clients that had been let in lately; each counts once until it is let in again.
    package let refusingClients: UInt64
    /// Peers whose issuer is unknown here.
    package let unknownIssuers: UInt64
}

extension DatabaseProxy {
    /// In the order of the configuration.
    package var observations: [ListenerObservation] {
        listeners.map { listener in
            let admission = listener.admission
            return ListenerObservation(
                name: listener.name, isTunnel: listener.configuration.tunnel != nil,
                roles: listener.configuration.certificateRoles, anchors: admission?.standing.trust.certificates,
                served: admission?.contexts.presenting?.identity?.leaf, issuers: listener.counters.issuers.values,
                unknownCA: listener.counters.unknownCA.value,
                refusingClients: listener.counters.refusingClients.count,
                unknownIssuers: listener.counters.refused[RefusalReason.unknownIssuer.rawValue] ?? 0)
        }
    }
}
