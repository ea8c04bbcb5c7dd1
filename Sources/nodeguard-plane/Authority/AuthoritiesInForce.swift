import FoundationEssentials

/// Which of the plane's authorities are trusted and which issue, by the newest rotation. Pure.
struct AuthoritiesInForce: Sendable {
    let records: [AuthorityRecord]
    /// The newest; nil: there has been none.
    let rotation: Rotation?

    /// `cluster`: where no other's are asked for.
    init(of cluster: String? = nil, _ database: Database) throws {
        records = try AuthorityRecord.all(of: cluster, database)
        rotation = try Rotation.newest(database)
    }

    // MARK: roots

    /// Of which one new certificates are: for this node (`CLUSTER/NODE`) or, nil, for whoever is none.
    func root(for node: String?) -> AuthorityRecord? {
        guard let rotation else { return records.first(where: \.isRoot) }
        return record(rotation.machine.issuesNew(to: node) ? rotation.newRoot : rotation.oldRoot)
    }

    /// Of which one the plane's own certificate is: with the cross certificate beside it, whoever trusts either of the
    /// two can verify it.
    var planeRoot: AuthorityRecord? {
        guard let rotation else { return records.first(where: \.isRoot) }
        let isNew = rotation.machine.phase == .issuing || rotation.machine.phase == .dropped
        return record(isNew ? rotation.newRoot : rotation.oldRoot)
    }

    /// Who issues the plane's own certificate in its place, once it has been offline.
    var planeIssuer: AuthorityRecord? {
        records.last { $0.cluster == AuthorityRecord.planeCluster && $0.root == planeRoot?.id && $0.revokedAt == nil }
    }

    /// The other root's word for that one; nil: there is no other.
    var planeCross: [UInt8]? {
        rotation.map { planeRoot?.id == $0.newRoot ? $0.newWithOld : $0.oldWithNew }
    }

    /// The trusted ones, the issuing one first.
    var roots: [AuthorityRecord] {
        guard let rotation else { return records.filter(\.isRoot).prefix(1).map { $0 } }
        var trusted: [Int64] = []
        if rotation.machine.trustsOld { trusted.append(rotation.oldRoot) }
        if rotation.machine.trustsNew { trusted.append(rotation.newRoot) }
        let first = planeRoot?.id
        return trusted.sorted { one, other in one == first && other != first }.compactMap { record($0) }
    }

    /// What the pins of join bundles are: SHA-256 over each root's SubjectPublicKeyInfo.
    var pins: [String] { roots.map { $0.certificate.pin } }

    /// Those by which nodes take a root that follows one they trust, or give one up (RFC 7030 §4.1.3).
    var crossCertificates: [[UInt8]] {
        guard let rotation else { return [] }
        return (rotation.machine.trustsNew ? [rotation.newWithOld] : [])
            + (rotation.machine.trustsOld ? [rotation.oldWithNew] : [])
    }

    // MARK: a cluster's

    /// The intermediates under trusted roots, the issuing one first; those that are revoked too.
    func intermediates(of cluster: String) -> [AuthorityRecord] {
        let order = roots.map(\.id)
        return records.filter { $0.cluster == cluster && order.contains($0.root) }.sorted { one, other in
            let places = (order.firstIndex(of: one.root) ?? 0, order.firstIndex(of: other.root) ?? 0)
            return places.0 == places.1 ? one.id > other.id : places.0 < places.1
        }
    }

    /// Who signs a new certificate of the cluster; nil: there is no such cluster.
    func issuer(of cluster: String, for node: String?) -> AuthorityRecord? {
        guard let root = root(for: node) else { return nil }
        return records.last { $0.cluster == cluster && $0.root == root.id && $0.revokedAt == nil }
    }

    /// What goes with a certificate of this issuer to a peer: while it is needed, with the old root's word for the new
    /// one, so that who trusts the old root alone can verify it.
    func chain(above issuer: AuthorityRecord) -> [[UInt8]] {
        guard let rotation, rotation.machine.phase == .issuing, issuer.root == rotation.newRoot else {
            return [issuer.der]
        }
        return [issuer.der, rotation.newWithOld]
    }

    /// What nodes of the cluster are to trust, and what they build chains with, as `/cacerts` has it; nil: there is no
    /// such cluster.
    func bundle(of cluster: String) -> [[UInt8]]? {
        let own = intermediates(of: cluster).filter { $0.revokedAt == nil }
        guard !own.isEmpty else { return nil }
        return (roots + own).map(\.der) + crossCertificates
    }

    /// Whose revocation lists the nodes of a cluster get, in this order.
    func listed(of cluster: String) -> [AuthorityRecord] {
        guard let issuing = issuer(of: cluster, for: nil) else { return [] }
        let own = intermediates(of: cluster)
        return own.filter { $0.id == issuing.id } + roots.filter { $0.id == issuing.root }
            + own.filter { $0.id != issuing.id } + roots.filter { $0.id != issuing.root }
    }

    func record(_ id: Int64) -> AuthorityRecord? { records.first { $0.id == id } }

    /// Every authority under which the plane verifies a node: its register decides who that is, also where the
    /// intermediate is revoked.
    var verifying: [AuthorityRecord] {
        let trusted = roots.map(\.id)
        return records.filter { trusted.contains($0.root) }
    }
}
