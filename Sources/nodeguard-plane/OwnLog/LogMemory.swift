import FoundationEssentials
import PlaneAPI
import Synchronization

/// The last head of the plane's own log that this plane has seen, in a file beside its keys and not in the database:
/// one that was put back to an earlier time no longer knows whom it revoked, and is noticed at the next start. Each
/// of several planes has its own.
final class LogMemory: Sendable {
    /// In the state folder, and in no backup of it.
    static let fileName = "log-head"

    private struct Kept: Codable {
        /// A signed note.
        let checkpoint: String
        /// Of the tree at that size, so that the log can be followed from there.
        let peaks: Data
    }

    private let path: String
    private let log: PlaneLog
    /// The size that the file has; nil: it is not known yet.
    private let size = Mutex<UInt64?>(nil)

    init(_ state: PlaneState) {
        path = "\(state.directory)/\(Self.fileName)"
        log = state.log
    }

    /// Refuses a database whose log does not go on from what this plane has seen. `accepting`: an operator has said
    /// that it is to be so, which is recorded.
    func check(accepting: Bool, now: Int64, _ store: PlaneStore) throws {
        guard StateFile.exists(path) else { return try keep(store) }
        guard let flaw = try store.read({ try self.flaw($0) }) else { return try keep(store) }
        guard accepting else {
            throw PlaneProblem(
                flaw,
                remedy: "whom it revoked since is not known; give back the newer database, `restore` a backup into "
                    + "another folder, or start once with --accept-older-database and revoke again")
        }
        let event = PlaneEvent(name: "database.older", actor: .caller, detail: "accepted: \(flaw)")
        try store.write { [log] in try log.record(event, now: now, $0) }
        try keep(store, evenOlder: true)
    }

    /// Writes the file if the log has grown since. An older head does not replace a newer one.
    func keep(_ store: PlaneStore) throws { try keep(store, evenOlder: false) }

    private func keep(_ store: PlaneStore, evenOlder: Bool) throws {
        let (tree, checkpoint) = try store.read { [log] database in
            (try log.tree(database), try String.fetchOne(database, sql: "SELECT checkpoint FROM plane_log") ?? "")
        }
        try size.withLock { size in
            if let size, !evenOlder {
                if tree.size == size { return }
                guard tree.size > size else {
                    throw PlaneProblem(Self.older(tree.size, than: size), remedy: "the next start will be refused")
                }
            }
            let kept = Kept(checkpoint: checkpoint, peaks: Data(tree.peakBytes))
            try StateFile.write(Array(try JSONEncoder.plane.encode(kept)), to: path)
            size = tree.size
        }
    }

    private static func older(_ size: UInt64, than seen: UInt64) -> String {
        "the database is older than what this plane has signed: its own log ends at event \(size), and went on to "
            + "event \(seen)"
    }

    /// nil: the log goes on from there.
    private func flaw(_ database: Database) throws -> String? {
        guard var range = read() else { return "\(path), with what this plane signed last, is damaged" }
        let (seen, tree) = (range.size, try log.tree(database))
        guard tree.size >= seen else { return Self.older(tree.size, than: seen) }
        let events = try Row.fetchCursor(
            database, sql: "SELECT event FROM plane_events WHERE seq > ? ORDER BY seq", arguments: [Int64(seen)])
        while let row = try events.next() { range.append(MerkleRange.leaf(Array(row["event"] as Data))) }
        if range == tree { return nil }
        return "the database's log, of \(tree.size) events, does not go on from the \(seen) that this plane has signed"
    }

    private func read() -> MerkleRange? {
        guard let bytes = try? StateFile.read(path), let kept = try? JSONDecoder().decode(Kept.self, from: Data(bytes)),
            let note = try? SignedNote(Array(kept.checkpoint.utf8)), log.key.isSigned(note),
            let checkpoint = try? Checkpoint(note.text), checkpoint.origin == log.key.name,
            let range = MerkleRange(size: checkpoint.size, peakBytes: Array(kept.peaks)), range.root == checkpoint.root
        else { return nil }
        return range
    }
}
