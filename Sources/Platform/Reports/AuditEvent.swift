/// One thing that happened and that an auditor may ask about. Names, classes and field names are stable; the schema
/// page is `Sources/Jobs/Audit/Audit.docc/Events.md`.
package struct AuditEvent: Sendable, Equatable {
    package let name: AuditEventName
    package let outcome: AuditOutcome
    package let time: Timestamp
    /// Details by stable field name (`listener`, `peer.address`, `peer.serial`, `reason`, …). Never a secret.
    package let fields: AuditFields

    package init(
        _ name: AuditEventName, _ outcome: AuditOutcome = .success, at time: Timestamp = .now,
        fields: AuditFields = [:]
    ) {
        self.name = name
        self.outcome = outcome
        self.time = time
        self.fields = fields
    }
}

package enum AuditOutcome: String, Sendable, CaseIterable {
    case success, failure, refused
}

/// The stable names. A new one is added to the schema page in the same change (a test compares them).
package enum AuditEventName: String, Sendable, CaseIterable {
    case agentStarted = "agent.started"
    case agentStopped = "agent.stopped"
    case agentEndedUncleanly = "agent.ended-uncleanly"
    case configurationLoaded = "configuration.loaded"
    case certificateEnrolled = "certificate.enrolled"
    case certificateRenewed = "certificate.renewed"
    case certificateFailed = "certificate.failed"
    case certificatePublished = "certificate.published"
    case certificateDelivered = "certificate.delivered"
    case keyMade = "key.made"
    case keyDestroyed = "key.destroyed"
    case keyStoreChanged = "key.store-changed"
    case trustChanged = "trust.changed"
    case desiredStateApplied = "desired-state.applied"
    case revocationListAdopted = "revocation.list-adopted"
    case revocationListAged = "revocation.list-aged"
    case denyListAdopted = "revocation.deny-list-adopted"
    case listenerOpened = "listener.opened"
    case backendExposed = "backend.exposed"
    case connectionAccepted = "connection.accepted"
    case connectionRefused = "connection.refused"
    case connectionTolerated = "connection.tolerated"
    case connectionClosed = "connection.closed"
    case banBegan = "ban.began"
    case banLifted = "ban.lifted"
    case cancelDropped = "cancel.dropped"
    case cancelForwarded = "cancel.forwarded"
    case backupStarted = "backup.started"
    case backupCompleted = "backup.completed"
    case backupFailed = "backup.failed"
    case backupRead = "backup.read"
    case backupVerified = "backup.verified"
    case backupDeleted = "backup.deleted"
    case controlCall = "control.call"
    case stateQuarantined = "state.quarantined"
    case auditGap = "audit.gap"
    case auditWitnessChanged = "audit.witness-changed"
}

/// Where jobs report audit events. Reporting never blocks and never throws; `nodeguard` connects it to the spool.
package struct AuditReporter: Sendable {
    private let receive: @Sendable (AuditEvent) -> Void

    package init(_ receive: @escaping @Sendable (AuditEvent) -> Void) { self.receive = receive }

    package func report(_ event: AuditEvent) { receive(event) }

    /// For tests and tools that audit nothing.
    package static let none = AuditReporter { _ in }
}
