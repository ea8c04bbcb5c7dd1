/// What becomes of the events of a class when the spool is full.
package enum FullPolicy: String, Sendable, CaseIterable {
    /// Those that have waited longest give way, and gaps under their numbers tell of them.
    case dropOldest = "drop-oldest"
    /// What comes is counted, and an event tells how many there were.
    case dropNewest = "drop-newest"
    /// Nobody new is let in; what still comes, of those who are there, uses the room that is kept for security events,
    /// and is counted when that is used up.
    case refuseConnections = "refuse-connections"
}

/// The policy of each class that has one: security events are never dropped.
package struct FullPolicies: Sendable, Equatable {
    package var connection = FullPolicy.dropOldest
    package var backup = FullPolicy.dropOldest
    package var agent = FullPolicy.dropOldest

    package init() {}

    /// nil: never dropped.
    subscript(auditClass: AuditClass) -> FullPolicy? {
        switch auditClass {
        case .security: nil
        case .connection: connection
        case .backup: backup
        case .agent: agent
        }
    }

    /// Of which the oldest events give way.
    var droppable: AuditClasses {
        AuditClass.allCases.reduce(into: []) { classes, auditClass in
            if self[auditClass] == .dropOldest { classes.insert(AuditClasses(auditClass)) }
        }
    }

    var refusesConnections: Bool { AuditClass.allCases.contains { self[$0] == .refuseConnections } }
}
