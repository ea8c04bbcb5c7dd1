import PlaneAPI

/// Which certificates of a node are to be replaced before they are due, and when. Pure.
extension AuthoritiesInForce {
    /// After an intermediate was revoked, in seconds: whoever looks up chains refuses what it has issued.
    private static let urgentSpread: Int64 = 60

    /// `node`: `CLUSTER/NODE`.
    func renewals(of node: String, in cluster: String) -> [RenewalWindow] {
        let own = intermediates(of: cluster)
        let revoked = own.compactMap { record in
            record.revokedAt.map { Self.window(for: record, start: $0, spread: Self.urgentSpread) }
        }
        guard let rotation, let (unwanted, spread) = Self.unwantedRoot(of: node, rotation) else { return revoked }
        let start = rotation.machine.changedAt
        return revoked
            + own.filter { $0.root == unwanted && $0.revokedAt == nil }
            .map { Self.window(for: $0, start: start, spread: spread) }
    }

    private static func unwantedRoot(of node: String, _ rotation: Rotation) -> (root: Int64, spread: Int64)? {
        let machine = rotation.machine
        switch machine.phase {
        case .issuing where machine.issuesNew(to: node):
            return (rotation.oldRoot, machine.pace == .canary ? 0 : machine.terms.spread)
        // Only after a step back is there anything that the new root has issued, and then somebody waits.
        case .trusting: return (rotation.newRoot, 0)
        default: return nil
        }
    }

    private static func window(for record: AuthorityRecord, start: Int64, spread: Int64) -> RenewalWindow {
        RenewalWindow(issuer: Hex.lower(record.certificate.publicKeyDigest), start: start, end: start + spread)
    }
}
