import FoundationEssentials
import HTTPTypes
import Hummingbird
import PlaneAPI
import Synchronization

/// Names what a node of a cluster is to trust and to renew: any change of authorities or of a rotation gives another
/// word, and all planes of one database give the same.
enum TrustRevision {
    static func current(of cluster: String, _ database: Database) throws -> String {
        let authorities = try Row.fetchOne(
            database,
            sql: """
                SELECT coalesce(max(id), 0) AS newest, count(revoked_at) AS revoked
                FROM authorities WHERE cluster = ? OR cluster = ''
                """,
            arguments: [cluster])
        let rotation = try Row.fetchOne(
            database, sql: "SELECT id, phase, pace, changed_at FROM rotations ORDER BY id DESC LIMIT 1")
        var words: [String] = []
        if let authorities { words += [text(authorities["newest"]), text(authorities["revoked"])] }
        if let rotation {
            words += [text(rotation["id"]), rotation["phase"], rotation["pace"], text(rotation["changed_at"])]
        }
        return words.joined(separator: ".")
    }

    private static func text(_ number: Int64) -> String { String(number) }

    static let header = HTTPField.Name(TrustNews.revisionHeader)
    static let renewalHeader = HTTPField.Name(TrustNews.renewalHeader)
}

/// Sees that any node is to trust or renew something else, whichever process has decided it.
final class TrustWatch: Sendable {
    private let mark = Mutex<String?>(nil)

    func hasChanged(_ database: Database) throws -> Bool {
        let authorities = try Int64.fetchOne(database, sql: "SELECT coalesce(max(id), 0) FROM authorities") ?? 0
        let revoked = try Int64.fetchOne(database, sql: "SELECT count(revoked_at) FROM authorities") ?? 0
        let rotation = try Rotation.newest(database)
        let machine = rotation?.machine
        let new =
            "\(authorities) \(revoked) \(rotation?.id ?? 0) \(machine?.phase?.rawValue ?? "") "
            + "\(machine?.pace.rawValue ?? "") \(machine?.changedAt ?? 0)"
        return mark.withLock { mark in
            defer { mark = new }
            return mark.map { $0 != new } ?? false
        }
    }
}

extension Response {
    /// Beside the answer, to a node of this plane; one that has waited says itself what is true now.
    func telling(_ revision: String?) -> Response {
        guard let revision, let name = TrustRevision.header, headers[name] == nil else { return self }
        var answer = self
        answer.headers[name] = revision
        return answer
    }
}
