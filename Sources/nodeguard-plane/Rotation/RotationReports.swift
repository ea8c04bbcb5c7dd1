import Crypto
import FoundationEssentials
import PlaneAPI

/// What the nodes' last reports say of a rotation. A report is read against the authorities of now: one that was sent
/// before the start says as much as any.
struct RotationReports {
    let rotation: Rotation
    private let records: [AuthorityRecord]
    private let alertsBefore: [String: Int64]
    /// Of the desired state of each cluster: older ones are signed by a key that another root has certified.
    private let versions: [String: Int64]

    init(_ rotation: Rotation, _ records: [AuthorityRecord], _ database: Database) throws {
        self.rotation = rotation
        self.records = records
        alertsBefore = try rotation.alertsBefore(database)
        let rows = try Row.fetchAll(database, sql: "SELECT cluster, version FROM desired_versions")
        versions = Dictionary(rows.map { ($0["cluster"], $0["version"]) }) { $1 }
    }

    /// A node that has an identity in time: who was only invited, or has expired, joins with a new bundle, which has
    /// the pins of then.
    struct Reporter {
        let cluster: String
        let node: String
        let report: ObservedState?
        let reportedAt: Int64?

        var place: String { "\(cluster)/\(node)" }
    }

    static func reporters(now: Int64, _ database: Database) throws -> [Reporter] {
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT nodes.cluster AS cluster, nodes.name AS name, received_at, report
                FROM nodes LEFT JOIN observed ON observed.cluster = nodes.cluster AND observed.node = nodes.name
                WHERE EXISTS (
                    SELECT 1 FROM certificates AS own
                    WHERE own.cluster = nodes.cluster AND own.holder = nodes.name AND own.kind = 'node'
                        AND own.revoked_at IS NULL AND own.not_after > ?)
                ORDER BY nodes.cluster, nodes.name
                """,
            arguments: [now])
        return try rows.map { row in
            let bytes: Data? = row["report"]
            return Reporter(
                cluster: row["cluster"], node: row["name"],
                report: try bytes.map { try JSONDecoder().decode(ObservedState.self, from: $0) },
                reportedAt: row["received_at"])
        }
    }

    func nodes(_ reporters: [Reporter]) -> [RotationStateMachine.Node] {
        reporters.map { reporter in
            RotationStateMachine.Node(
                name: reporter.place, report: reporter.report.map { read($0, of: reporter.cluster) },
                alertsBefore: alertsBefore[reporter.place] ?? 0)
        }
    }

    private func read(_ report: ObservedState, of cluster: String) -> RotationStateMachine.Report {
        let (old, new) = (Side(rotation.oldRoot, of: cluster, records), Side(rotation.newRoot, of: cluster, records))
        let plane = Set(report.planeTrust?.anchors ?? [])
        // One that waits for its trust lets nobody in, and will get the trust of then.
        let listeners = report.listeners.compactMap { $0.trust.map { Set($0.anchors) } }
        let issuers = Set(report.certificates.compactMap(\.issuerKey))
        return RotationStateMachine.Report(
            hasOld: plane.contains(old.root) && listeners.allSatisfy { old.isTrusted(by: $0, beside: new) },
            hasNew: plane.contains(new.root) && listeners.allSatisfy { new.isTrusted(by: $0, beside: old) },
            keepsOld: ([plane] + listeners).contains { !$0.isDisjoint(with: old.all) },
            keepsNew: ([plane] + listeners).contains { !$0.isDisjoint(with: new.all) },
            usesOld: !issuers.isDisjoint(with: old.keys) || hasOldState(report, cluster),
            usesNew: !issuers.isDisjoint(with: new.keys),
            alertCount: report.listeners.reduce(0) { $0 &+ $1.refusingClients })
    }

    /// Once the new root certifies the key that signs them.
    private func hasOldState(_ report: ObservedState, _ cluster: String) -> Bool {
        guard rotation.machine.phase == .issuing, let applied = report.desired?.version, applied > 0 else {
            return false
        }
        return applied < versions[cluster] ?? 0
    }

    /// One root and what is under it for one cluster, as reports name them.
    private struct Side {
        /// SHA-256 of certificates.
        let root: String
        let intermediates: Set<String>
        /// Those that are not revoked.
        let good: Set<String>
        /// SHA-256 of the intermediates' SubjectPublicKeyInfo.
        let keys: Set<String>

        init(_ root: Int64, of cluster: String, _ records: [AuthorityRecord]) {
            let own = records.filter { $0.cluster == cluster && $0.root == root }
            self.root = records.first { $0.id == root }.map(Self.fingerprint) ?? ""
            intermediates = Set(own.map(Self.fingerprint))
            good = Set(own.filter { $0.revokedAt == nil }.map(Self.fingerprint))
            keys = Set(own.map { Hex.lower($0.certificate.publicKeyDigest) })
        }

        var all: Set<String> { intermediates.union([root]) }

        /// Where the other's authorities are trusted, its own must be, of the same kind.
        func isTrusted(by anchors: Set<String>, beside other: Side) -> Bool {
            let needsRoot = anchors.contains(other.root)
            let needsIntermediates = !anchors.isDisjoint(with: other.intermediates)
            return (!needsRoot || anchors.contains(root)) && (!needsIntermediates || good.isSubset(of: anchors))
        }

        private static func fingerprint(_ record: AuthorityRecord) -> String {
            Hex.lower(SHA256.hash(data: record.der))
        }
    }
}
