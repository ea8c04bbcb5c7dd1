import Reports

/// What an event is about, which decides how it is treated when there is no room.
///
/// Security events are committed at once and never dropped, so nothing that a stranger can cause at will is one of
/// them: a refused connection is a `connection` event.
package enum AuditClass: Int64, Sendable, CaseIterable {
    case security = 1
    case connection = 2
    case backup = 3
    case agent = 4

    package var name: String {
        switch self {
        case .security: "security"
        case .connection: "connection"
        case .backup: "backup"
        case .agent: "agent"
        }
    }
}

/// Some of the classes.
struct AuditClasses: OptionSet, Sendable {
    let rawValue: Int64

    init(rawValue: Int64) { self.rawValue = rawValue }
    init(_ auditClass: AuditClass) { rawValue = 1 << auditClass.rawValue }
}

extension AuditEventName {
    package var auditClass: AuditClass {
        switch self {
        case .certificateEnrolled, .certificateRenewed, .certificateFailed, .certificatePublished,
            .certificateDelivered, .keyMade, .keyDestroyed, .keyStoreChanged, .trustChanged, .configurationLoaded,
            .controlCall, .backupRead, .backupDeleted,
            .stateQuarantined, .auditGap,
            .agentEndedUncleanly, .auditWitnessChanged, .revocationListAdopted, .revocationListAged, .denyListAdopted,
            .desiredStateApplied:
            .security
        case .connectionAccepted, .connectionRefused, .connectionTolerated, .connectionClosed, .cancelDropped,
            .cancelForwarded, .banBegan, .banLifted:
            .connection
        case .backupStarted, .backupCompleted, .backupFailed, .backupVerified: .backup
        case .agentStarted, .agentStopped, .listenerOpened, .backendExposed: .agent
        }
    }
}
