/// How much the spool may hold, and of what.
struct SpoolLimits: Sendable, Equatable {
    /// Bytes of all rows. Only security events go beyond it.
    let limit: Int64
    let policies: FullPolicies

    /// Only security events use the last twentieth, and what comes of connections that were there before nobody new
    /// was let in.
    var ceiling: Int64 { limit - limit / 20 }
    /// So much is left when room was made, so that the tree is computed anew seldom.
    var target: Int64 { limit - limit / 8 }

    /// Whether an event of this class finds room when so much is used.
    func hasRoom(for auditClass: AuditClass, at usage: Int64) -> Bool {
        switch policies[auditClass] {
        // Others, or they themselves, give way later.
        case nil, .dropOldest: true
        case .dropNewest: usage < ceiling
        case .refuseConnections: usage < limit
        }
    }
}
