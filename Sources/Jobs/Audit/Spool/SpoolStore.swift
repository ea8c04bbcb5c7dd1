import GRDB
import IO
import OpenSSL
import PlaneAPI
import Reports

/// One open log: its database, its key and its head. Belongs to the `AuditSpool` actor; each method is one transaction.
final class SpoolStore {
    /// So many acknowledged events stay for people who ask what happened last.
    static let keptForPeople: Int64 = 256
    /// Free pages that are kept for what comes next; the rest goes back to the disk.
    private static let keptPages: Int64 = 4096

    let key: LogKey
    private let database: DatabaseQueue
    private let files: SpoolFiles
    private let limit: Int64
    private var head: SpoolHead
    private(set) var state: SpoolState
    /// Of the acknowledged events that stay.
    private(set) var keptBytes: Int64 = 0
    /// Nothing can be dropped before the usage passes this.
    private var reliefFloor: Int64
    private var offeredTree: MerkleTree?

    private init(
        _ database: DatabaseQueue, _ key: LogKey, _ state: SpoolState, _ files: SpoolFiles, limit: Int64
    ) throws {
        self.database = database
        self.key = key
        self.state = state
        self.files = files
        self.limit = limit
        reliefFloor = limit
        head = try SpoolHead(files.head, state.mark)
    }

    /// Begins a log. What a start that was cut short left behind must have been put aside before. `witness`: as the
    /// log before knew it.
    static func create(
        _ files: SpoolFiles, _ place: AuditPlace, _ configuration: AuditConfiguration, witness: String = ""
    ) throws(SpoolError) -> SpoolStore {
        try spoolOperation("create the spool in \(files.directory)") {
            try Files.makeDirectory(files.directory, mode: 0o700)
            let key = try LogKey.create(files.key)
            let state = SpoolState(
                node: place.node, cluster: place.cluster, epoch: Int64(place.epoch), boot: configuration.boot,
                publicKey: key.publicKey, isClean: false, witness: witness)
            let database = try SpoolDatabase.create(files, state)
            return try SpoolStore(database, key, state, files, limit: configuration.limit)
        }
    }

    /// Continues a log, if it is ours and whole.
    static func open(_ files: SpoolFiles, _ configuration: AuditConfiguration) throws(SpoolError) -> SpoolStore {
        let mark = SpoolHead.read(files.head)
        let database = try SpoolDatabase.open(files)
        return try spoolOperation("read \(files.database)") {
            let state = try database.read { try SpoolState.load($0) }
            guard state.node == configuration.node, state.cluster == configuration.cluster else {
                throw SpoolError(.damaged, "the spool belongs to node \(state.node) of cluster \(state.cluster)")
            }
            if let mark, mark.epoch != state.mark.epoch || mark.last > state.last || mark.offered > state.offered {
                throw SpoolError(
                    .damaged, "the spool went back: it was at \(mark) before, and is at \(state.mark)")
            }
            let store = try SpoolStore(
                database, try readKey(files, state), state, files, limit: configuration.limit)
            try store.checkEnds()
            return store
        }
    }

    private static func readKey(_ files: SpoolFiles, _ state: SpoolState) throws -> LogKey {
        let key: LogKey
        do {
            key = try LogKey(file: files.key)
        } catch {
            throw SpoolError(.damaged, "\(error)")
        }
        guard key.publicKey == state.publicKey else {
            throw SpoolError(.damaged, "\(files.key) is not the key of this log")
        }
        return key
    }

    /// The first and the last row; those between are checked when they are read.
    private func checkEnds() throws {
        try database.read { database in
            if state.last > state.acknowledged {
                for seq in [state.acknowledged + 1, state.last] {
                    try SpoolRow.forEachLine(from: seq, through: seq, database) { _, _ in true }
                }
            }
            let beyond = try Int64.fetchOne(database, sql: "SELECT max(last) FROM events") ?? state.last
            guard beyond <= state.last else { throw SpoolError(.damaged, "the spool has an event \(beyond)") }
            keptBytes = try Self.usage(through: state.acknowledged, database)
        }
    }

    private static func usage(through last: Int64, _ database: Database) throws -> Int64 {
        try Int64.fetchOne(
            database, sql: "SELECT sum(\(SpoolRow.usageSQL)) FROM events WHERE seq <= ?1 AND last <= ?1",
            arguments: [last]) ?? 0
    }

    /// With which others verify this log.
    var verifierKey: String {
        let origin = AuditBatches.origin(node: state.node, epoch: state.place.epoch)
        return SignedNote.verifierKey(name: origin, .ed25519, key.publicKey)
    }

    // MARK: Events

    /// Durable when it returns; nothing is changed when it throws. Returns what had to be dropped for it, by class.
    func append(_ events: [AuditEvent], at time: Timestamp) throws(SpoolError) -> [AuditClass: UInt64] {
        guard Files.exists(files.database) else {
            throw SpoolError(.damaged, "\(files.database) was removed while it was in use")
        }
        var next = state
        var relief = SpoolRelief(limit: limit, at: time)
        try transaction("write \(events.count) events", &next) { next, database in
            for event in events {
                let row = SpoolRow(seq: next.last + 1, AuditRecord(event, place: next.place, boot: next.boot))
                try row.insert(database)
                next.tree.append(row.line(seq: row.seq))
                next.usage += row.usage
            }
            if next.usage > reliefFloor { try relief.relieve(&next, database) }
        }
        reliefFloor = next.usage > limit ? next.usage + limit / 8 : limit
        if relief.hasForgotten { keptBytes = 0 }
        try? head.advance(to: next.mark)
        return relief.dropped
    }

    /// A new run: from here on it has not ended cleanly.
    func begin(boot: String) throws(SpoolError) {
        var next = state
        next.boot = boot
        next.isClean = false
        try transaction("begin", &next) { _, _ in }
        try spoolOperation("begin") { try SpoolDatabase.foldLog(database) }
    }

    /// The last events as canonical text, oldest first; runs of dropped ones count as one.
    func tail(_ count: Int) throws(SpoolError) -> [String] {
        try spoolOperation("read the last events") {
            try database.read { database in
                let rows = try Row.fetchAll(
                    database, sql: "SELECT * FROM events ORDER BY seq DESC LIMIT ?", arguments: [count])
                return try rows.reversed().map { row in
                    let row = try SpoolRow(row)
                    return String(decoding: row.line(seq: row.last), as: UTF8.self)
                }
            }
        }
    }

    /// Nanoseconds since 1970 of the oldest event that waits.
    func oldestWaiting() throws(SpoolError) -> Int64? {
        let first = state.acknowledged + 1
        return try spoolOperation("read the oldest event") {
            try database.read { database in
                try Int64.fetchOne(
                    database, sql: "SELECT time FROM events WHERE seq >= ? ORDER BY seq LIMIT 1",
                    arguments: [first])
            }
        }
    }

    // MARK: Shipping

    /// A signed batch of at most `count` events from `first` on. What it covers never changes again.
    func makeBatch(first: Int64, count: Int) throws(SpoolError) -> AuditBatch {
        precondition(first > state.acknowledged && first <= state.last && count > 0)
        var tree = state.shipped
        var lines: [[UInt8]] = []
        var size = 0
        let last = min(state.last, first + Int64(count) - 1)
        try spoolOperation("read events from \(first) on") {
            try database.read { database in
                try SpoolRow.forEachLine(from: state.acknowledged + 1, through: last, database) { seq, line in
                    if seq >= first {
                        size += line.count + 1
                        if size > AuditBatch.eventBytes { return false }
                        lines.append(line)
                    }
                    tree.append(line)
                    return true
                }
            }
        }
        guard Int64(tree.size) != state.last || tree == state.tree else {
            throw SpoolError(.damaged, "the events do not lead to the tree that was stored with them")
        }
        var next = state
        next.offered = max(state.offered, Int64(tree.size))
        if next != state {
            try transaction("note the batch", &next) { _, _ in }
            try? head.advance(to: next.mark)
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
        var next = state
        var kept: Int64 = 0
        try transaction("note the acknowledgement of \(last)", &next) { next, database in
            next.shipped = try tree(at: last, database)
            if let cosigned { next.cosigned = cosigned }
            next.usage -= try SpoolRelief.deleteRows(through: min(last, keptFrom), database)
            kept = try Self.usage(through: last, database)
        }
        keptBytes = kept
        offeredTree = nil
        reliefFloor = max(limit, min(reliefFloor, next.usage + limit / 8))
        // The acknowledgement is durable already; room can be given back another time.
        try? giveRoomBack()
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
        var tree = state.shipped
        try SpoolRow.forEachLine(from: state.acknowledged + 1, through: size, database) { _, line in
            tree.append(line)
            return true
        }
        return tree
    }

    func noteRegistered() throws(SpoolError) {
        var next = state
        next.isRegistered = true
        try transaction("note the registration", &next) { _, _ in }
    }

    func noteWitness(_ verifierKey: String) throws(SpoolError) {
        var next = state
        next.witness = verifierKey
        try transaction("note the witness", &next) { _, _ in }
    }

    // MARK: End

    /// Says that this run ended well, and closes the files.
    func endCleanly() throws(SpoolError) {
        var next = state
        next.isClean = true
        try transaction("end", &next) { _, _ in }
        try spoolOperation("close") {
            try SpoolDatabase.foldLog(database)
            try database.close()
        }
    }

    /// Before the files are moved or opened again.
    func close() { try? database.close() }

    private func transaction(
        _ operation: String, _ next: inout SpoolState, _ body: (inout SpoolState, Database) throws -> Void
    ) throws(SpoolError) {
        var changed = next
        try spoolOperation(operation) {
            try database.write { database in
                try body(&changed, database)
                try changed.store(database)
            }
        }
        next = changed
        state = changed
    }
}
