import FoundationEssentials

/// What the offline root owes and when, and where keys of roots lie that should lie nowhere: nothing else would say so
/// before it is too late.
struct RootConcerns {
    /// What wants an operator.
    private(set) var concerns: [String] = []
    /// What an operator should know.
    private(set) var notes: [String] = []

    /// The root's key is to be fetched from where it is kept.
    static let horizon: Int64 = 100 * 86_400

    init(_ state: PlaneState, _ inForce: AuthoritiesInForce, now: Int64, _ database: Database) throws {
        for root in inForce.roots { try addList(of: root, now, database) }
        if let root = inForce.planeRoot, try OfflineRoot.since(root, database) != nil {
            try addConfigurationKeys(state, now, database)
            addIssuer(inForce, now)
        }
        for root in inForce.records where root.isRoot { try addKey(of: root, state, inForce, database) }
    }

    private mutating func addList(of root: AuthorityRecord, _ now: Int64, _ database: Database) throws {
        guard try OfflineRoot.since(root, database) != nil else { return }
        let end = try PublishedLists.end(of: root, database)
        guard end - now < Self.horizon else { return }
        concerns.append(
            "the revocation list of the offline root \(root.certificate.pin) ends at \(UnixTime.text(end)): then "
                + "listeners that look up whole chains refuse everybody; sign another with `root online`, then "
                + "`root offline`")
    }

    private mutating func addConfigurationKeys(_ state: PlaneState, _ now: Int64, _ database: Database) throws {
        for cluster in try state.clusterNames(database) {
            guard let known = try ConfigurationKey.known(of: cluster, database) else { continue }
            // What it signs is to be good for so long.
            let end = known.certificate.notAfterSeconds - DesiredStates.lifetime
            guard end - now < Self.horizon else { continue }
            concerns.append(
                "the configuration key of \(cluster) signs no desired state after \(UnixTime.text(end)), and another "
                    + "needs the root: `desired rotate-key --cluster \(cluster) --root-key FILE --operator-key KEY`")
        }
    }

    /// One that is trusted and online belongs here; any other is of use to a thief alone.
    private mutating func addKey(
        of root: AuthorityRecord, _ state: PlaneState, _ inForce: AuthoritiesInForce, _ database: Database
    ) throws {
        let (pin, since) = (root.certificate.pin, try OfflineRoot.since(root, database))
        if let since, inForce.roots.contains(where: { $0.id == root.id }) {
            notes.append(
                "backups that were made before \(UnixTime.text(since)) may hold the key of the root \(pin), which is "
                    + "offline: keep them as you keep that")
        }
        guard let path = OfflineRoot.keyFile(of: root, state) else { return }
        if !inForce.roots.contains(where: { $0.id == root.id }) {
            concerns.append(
                "the root \(pin) is trusted no more, and its key is in \(path): remove that file once nothing is to be "
                    + "taken back, and guard backups that hold it")
        } else if since != nil {
            concerns.append(
                "the root \(pin) is offline, but its key is still in \(path), and in backups that were made since: end "
                    + "that with `root offline --to ANOTHER-FILE`, or remove it if this is another plane's copy")
        }
    }

    private mutating func addIssuer(_ inForce: AuthoritiesInForce, _ now: Int64) {
        guard let issuer = inForce.planeIssuer, OfflineRoot.isNearEnd(issuer, now: now) else { return }
        let end = UnixTime.text(issuer.certificate.notAfterSeconds)
        concerns.append(
            "the authority of the plane's own certificate ends at \(end): "
                + "`root online`, then `root offline`, which makes another")
    }
}
