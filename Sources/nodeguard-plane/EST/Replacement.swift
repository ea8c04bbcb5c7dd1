import FoundationEssentials

/// That another machine has a node's place since a time: what the one before it was given is void, and it is told so,
/// and of, when it comes back.
enum Replacement {
    /// Within one transaction; returns how many certificates are revoked.
    static func begin(_ node: String, of cluster: String, now: Int64, _ database: Database) throws -> Int {
        let known = try Int64.fetchOne(
            database, sql: "SELECT count(*) FROM nodes WHERE cluster = ? AND name = ?", arguments: [cluster, node])
        guard known == 1 else {
            throw PlaneProblem("there is no node \(node) in \(cluster)", remedy: "`nodeguard-plane nodes` lists them")
        }
        let revoked = try IssuedCertificates.revokeAll(of: node, in: cluster, now: now, database)
        try database.execute(
            sql: """
                UPDATE tokens SET expires_at = ?
                WHERE cluster = ? AND node = ? AND spent_at IS NULL AND expires_at > ?
                """,
            arguments: [now, cluster, node, now])
        try database.execute(
            sql: "DELETE FROM recovery_keys WHERE cluster = ? AND node = ?", arguments: [cluster, node])
        // Reports of the new machine are not to be taken for those of a copy.
        try database.execute(
            sql: "DELETE FROM observed WHERE cluster = ? AND node = ?", arguments: [cluster, node])
        try PlaneState.set(setting("replaced", node, cluster), to: Data(String(now).utf8), database)
        return revoked
    }

    /// When the machine with this certificate lost its place; nil: it was revoked for something else.
    static func time(_ holder: IssuedCertificates.Holder, revokedAt: Int64, _ database: Database) throws -> Int64? {
        guard holder.kind == .node, let at = try time("replaced", holder.name, holder.cluster, database) else {
            return nil
        }
        return revokedAt == at ? at : nil
    }

    /// The machine before this one has called.
    static func returned(_ node: String, of cluster: String, now: Int64, _ database: Database) throws {
        try PlaneState.set(setting("returned", node, cluster), to: Data(String(now).utf8), database)
    }

    /// When it last did; nil: never.
    static func returnTime(_ node: String, of cluster: String, _ database: Database) throws -> Int64? {
        try time("returned", node, cluster, database)
    }

    private static func time(_ word: String, _ node: String, _ cluster: String, _ database: Database) throws -> Int64? {
        try PlaneState.setting(setting(word, node, cluster), database).flatMap {
            Int64(String(decoding: $0, as: UTF8.self))
        }
    }

    /// A cluster's name has no slash.
    private static func setting(_ word: String, _ node: String, _ cluster: String) -> String {
        "\(word) \(cluster)/\(node)"
    }
}
