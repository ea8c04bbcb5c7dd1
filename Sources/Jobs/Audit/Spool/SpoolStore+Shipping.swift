import GRDB
import OpenSSL
import PlaneAPI

extension SpoolStore {
    /// So many acknowledged events stay for people who ask what happened last.
    static let keptForPeople: Int64 = 256
    /// Free pages that are kept for what comes next; the rest goes back to the disk.
    private static let keptPages: Int64 = 4096

    /// The last events as canonical text, oldest first; runs of dropped ones count as one.
    func tail(_ count: Int) throws(SpoolError) -> [String] {
        try spoolOperation("read the last events") {
            try database.read { database in
                var newestFirst: [String] = []
                let rows = try Row.fetchCursor(database, sql: "SELECT * FROM runs ORDER BY first DESC")
                while newestFirst.count < count, let next = try rows.next() {
                    let row = try SpoolRow(next)
                    var lines: [String] = []
                    try row.forEachEntry { entry in
                        guard !row.isGap || entry.seq == row.last else { return true }
                        lines.append(String(decoding: entry.line, as: UTF8.self))
                        return true
                    }
                    newestFirst += lines.reversed()
                }
                return newestFirst.prefix(count).reversed()
            }
        }
    }

    /// A signed batch of at most `count` events from `first` on. What it covers never changes again.
    func makeBatch(first: Int64, count: Int) throws(SpoolError) -> AuditBatch {
        precondition(first > state.acknowledged && first <= state.last && count > 0)
        var tree = state.shipped
        var lines: [ArraySlice<UInt8>] = []
        var size = 0
        let digest = Digest.SHA256()
        let last = min(state.last, first + Int64(count) - 1)
        try spoolOperation("read events from \(first) on") {
            try database.read { database in
                try SpoolRow.forEachLine(from: state.acknowledged + 1, through: last, database) { seq, line in
                    if seq >= first {
                        size += line.count + 1
                        if size > AuditBatch.eventBytes { return false }
                        lines.append(line)
                    }
                    tree.append(line, with: digest)
                    return true
                }
            }
        }
        guard Int64(tree.size) != state.last || tree == state.tree else {
            throw SpoolError(.damaged, "the events do not lead to the tree that was stored with them")
        }
        if Int64(tree.size) > state.offered {
            try transaction("note the batch") { next, _ in next.offered = Int64(tree.size) }
            noteMark()
        }
        offeredTree = tree
        let checkpoint = Checkpoint(
            origin: AuditBatches.origin(node: state.node, epoch: state.place.epoch), tree: tree)
        let note = try spoolOperation("sign the checkpoint") { try key.sign(checkpoint) }
        return AuditBatch(epoch: state.place.epoch, first: UInt64(first), lines: lines, checkpoint: note)
    }

    /// The plane has everything up to `last`; all but the newest of it is deleted.
    func acknowledge(through last: Int64, cosigned: String?) throws(SpoolError) {
        precondition(last > state.acknowledged && last <= state.offered)
        let keptFrom = state.last - Self.keptForPeople
        var kept: Int64 = 0
        try transaction("note the acknowledgement of \(last)") { next, database in
            next.shipped = try tree(at: last, database)
            if let cosigned { next.cosigned = cosigned }
            next.usage -= try Self.trim(through: min(last, keptFrom), database)
            kept = try Self.usage(through: last, database)
        }
        keptBytes = kept
        offeredTree = nil
        reliefFloor = max(limits.ceiling, min(reliefFloor, state.usage + limits.limit / 8))
        // The acknowledgement is durable already; room can be given back another time.
        try? giveRoomBack()
    }

    /// Deletes what is stored up to `last`; of the row that goes on behind it, the beginning if that is the larger
    /// part: a row that is cut at each acknowledgement would be written many times. Returns how many bytes that freed.
    private static func trim(through last: Int64, _ database: Database) throws -> Int64 {
        let freed = try SpoolRelief.deleteRows(through: last, database)
        guard let row = try SpoolRow.find(last + 1, database), !row.isGap, row.first <= last,
            last - row.first >= row.last - last
        else { return freed }
        var rest = SpoolRun(first: last + 1)
        try row.forEachEntry { entry in
            if entry.seq > last { rest.append(entry.auditClass, time: row.time, line: entry.line) }
            return true
        }
        try database.execute(sql: "DELETE FROM runs WHERE first = ?", arguments: [row.first])
        try rest.row.insert(database)
        return freed + row.usage - rest.usage
    }

    private func giveRoomBack() throws {
        try database.writeWithoutTransaction { database in
            let free = try Int64.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0
            guard free > Self.keptPages else { return }
            _ = try Int64.fetchAll(database, sql: "PRAGMA incremental_vacuum(\(free - Self.keptPages / 2))")
        }
    }

    private func tree(at size: Int64, _ database: Database) throws -> MerkleTree {
        if let offeredTree, Int64(offeredTree.size) == size { return offeredTree }
        let digest = Digest.SHA256()
        var tree = state.shipped
        try SpoolRow.forEachLine(from: state.acknowledged + 1, through: size, database) { _, line in
            tree.append(line, with: digest)
            return true
        }
        return tree
    }

    func noteRegistered() throws(SpoolError) {
        try transaction("note the registration") { next, _ in next.isRegistered = true }
    }

    func noteWitness(_ verifierKey: String) throws(SpoolError) {
        try transaction("note the witness") { next, _ in next.witness = verifierKey }
    }
}
