import Crypto
import FoundationEssentials
import PlaneAPI

/// What the nodes of each cluster are to do: as operators have set it, and as it is signed for them.
///
/// One signed state is for all nodes of a cluster but those that have one of their own, in which both are joined. All
/// are signed anew together, under the next version, so that no node ever sees a version go down.
enum DesiredStates {
    static let lifetime: Int64 = 30 * 86_400

    struct Signed: Sendable {
        /// SHA-256 of the envelope, as 64 hex digits.
        let hash: String
        let envelope: [UInt8]
    }

    /// `node`: nil: of the whole cluster. `lifetime`: nil: as before. Returns the version.
    static func set(
        _ content: DesiredContent, node: String?, of cluster: String, lifetime: Int64?, _ state: PlaneState, now: Int64,
        _ database: Database
    ) throws -> Int64 {
        try database.execute(
            sql: """
                INSERT INTO desired_contents (cluster, node, content, set_at) VALUES (?, ?, ?, ?)
                ON CONFLICT (cluster, node) DO UPDATE SET content = excluded.content, set_at = excluded.set_at
                """,
            arguments: [cluster, node ?? "", Data(try JSONEncoder.plane.encode(content)), now])
        return try sign(cluster, lifetime: lifetime, state, by: .caller, now: now, database)
    }

    /// nil: there was none.
    static func clear(
        node: String?, of cluster: String, _ state: PlaneState, now: Int64, _ database: Database
    ) throws -> Int64? {
        try database.execute(
            sql: "DELETE FROM desired_contents WHERE cluster = ? AND node = ?", arguments: [cluster, node ?? ""])
        guard database.changesCount > 0 else { return nil }
        return try sign(cluster, lifetime: nil, state, by: .caller, now: now, database)
    }

    /// Signs all of a cluster's anew, under the next version.
    static func sign(
        _ cluster: String, lifetime: Int64? = nil, _ state: PlaneState, by actor: PlaneEvent.Actor, now: Int64,
        _ database: Database
    ) throws -> Int64 {
        let before = try Row.fetchOne(
            database, sql: "SELECT version, lifetime FROM desired_versions WHERE cluster = ?", arguments: [cluster])
        let version = (before?["version"] ?? Int64(0)) + 1
        let lifetime = lifetime ?? before?["lifetime"] ?? Self.lifetime
        let contents = try contents(of: cluster, database)
        let common = contents[""] ?? DesiredContent()
        let own = contents.keys.filter { !$0.isEmpty }.sorted()
        let key = try ConfigurationKey.current(of: cluster, state, by: actor, now: now, database)
        try database.execute(sql: "DELETE FROM desired_envelopes WHERE cluster = ?", arguments: [cluster])
        for node in [""] + own {
            let desired = DesiredState(
                cluster: cluster, node: node.isEmpty ? nil : node, except: node.isEmpty ? own : [], version: version,
                issuedAt: now, expiresAt: now + lifetime,
                content: node.isEmpty ? common : common.joined(with: contents[node] ?? DesiredContent()))
            let envelope = try key.sign(desired).text
            try check(envelope, of: node.isEmpty ? "all nodes" : node)
            try database.execute(
                sql: "INSERT INTO desired_envelopes (cluster, node, hash, envelope) VALUES (?, ?, ?, ?)",
                arguments: [cluster, node, Hex.lower(SHA256.hash(data: envelope)), Data(envelope)])
        }
        try database.execute(
            sql: """
                INSERT INTO desired_versions (cluster, version, lifetime, renew_at) VALUES (?, ?, ?, ?)
                ON CONFLICT (cluster) DO UPDATE SET
                version = excluded.version, lifetime = excluded.lifetime, renew_at = excluded.renew_at
                """,
            arguments: [cluster, version, lifetime, now + lifetime / 2])
        return version
    }

    /// As every node reads it: what is set for a cluster and for a node may be too much together.
    private static func check(_ envelope: [UInt8], of whom: String) throws {
        do throws(JSONFlaw) { _ = try DesiredState(reading: try SignedEnvelope(reading: envelope).payload) } catch {
            throw PlaneProblem(
                "what is desired of \(whom) cannot be read by nodes (\(error))",
                remedy: "nothing was changed; set less for the cluster, or for the node")
        }
    }

    /// The clusters whose states are to be signed anew.
    static func due(now: Int64, _ database: Database) throws -> [String] {
        try String.fetchAll(
            database, sql: "SELECT cluster FROM desired_versions WHERE renew_at <= ? ORDER BY cluster",
            arguments: [now])
    }

    /// Before half of its time is over, so that nodes which are away for a while have one that is not out of date. Each
    /// cluster in a transaction of its own: one whose key is missing holds up no other. Returns which failed, and why.
    static func renewDue(_ state: PlaneState, now: Int64) throws -> [(cluster: String, error: any Error)] {
        var failures: [(cluster: String, error: any Error)] = []
        for cluster in try state.database.read({ try due(now: now, $0) }) {
            do {
                try state.database.write { try renew(cluster, state, now: now, $0) }
            } catch {
                failures.append((cluster, error))
            }
        }
        return failures
    }

    private static func renew(_ cluster: String, _ state: PlaneState, now: Int64, _ database: Database) throws {
        // Another plane of this database may have been first.
        guard try due(now: now, database).contains(cluster) else { return }
        let version = try sign(cluster, state, by: .plane, now: now, database)
        try state.log.record(
            PlaneEvent(name: "desired.renew", actor: .plane, cluster: cluster, detail: "version \(version)"),
            now: now, database)
    }

    static func signed(for node: String, of cluster: String, _ database: Database) throws -> Signed? {
        let row = try Row.fetchOne(
            database,
            sql: """
                SELECT hash, envelope FROM desired_envelopes
                WHERE cluster = ? AND node IN (?, '') ORDER BY node DESC LIMIT 1
                """,
            arguments: [cluster, node])
        guard let row else { return nil }
        let envelope: Data = row["envelope"]
        return Signed(hash: row["hash"], envelope: Array(envelope))
    }

    /// As it was set; `node` empty: of the whole cluster.
    static func contents(of cluster: String, _ database: Database) throws -> [String: DesiredContent] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT node, content FROM desired_contents WHERE cluster = ?", arguments: [cluster])
        var contents: [String: DesiredContent] = [:]
        for row in rows {
            let content: Data = row["content"]
            contents[row["node"]] = try DesiredContent(reading: Array(content))
        }
        return contents
    }

    /// 0: none was ever set.
    static func version(of cluster: String, _ database: Database) throws -> Int64 {
        try Int64.fetchOne(
            database, sql: "SELECT version FROM desired_versions WHERE cluster = ?", arguments: [cluster]) ?? 0
    }
}
