import GRDB
import IO
import OpenSSL
import PlaneAPI
import Reports

/// One open log: its database, its key and its head. Belongs to the `AuditSpool` actor; each method is one transaction.
final class SpoolStore {
    /// What found no room, by class.
    struct Losses: Equatable {
        /// It gave way, and gaps under its numbers tell of it.
        var dropped: [AuditClass: UInt64] = [:]
        /// It got no number, and nothing tells of it yet.
        var unstored: [AuditClass: UInt64] = [:]
    }

    let key: LogKey
    /// With which others verify this log.
    let verifierKey: String
    let database: DatabaseQueue
    private let files: SpoolFiles
    let limits: SpoolLimits
    private var head: SpoolHead
    private(set) var state: SpoolState
    private(set) var renderer: EventRenderer
    private let digest = Digest.SHA256()
    /// Of the rows of which the plane has everything.
    var keptBytes: Int64 = 0
    /// The last cosignature covers everything up to here.
    private(set) var cosignedSize: UInt64
    /// Nanoseconds since 1970 of the oldest event that waits, or of another of its commit.
    private(set) var oldestWaiting: Int64?
    /// Nothing can be dropped before the usage passes this.
    var reliefFloor: Int64
    var offeredTree: MerkleTree?

    private init(
        _ database: DatabaseQueue, _ key: LogKey, _ state: SpoolState, _ files: SpoolFiles, _ limits: SpoolLimits
    ) throws {
        self.database = database
        self.key = key
        self.state = state
        self.files = files
        self.limits = limits
        reliefFloor = limits.ceiling
        renderer = state.renderer
        cosignedSize = state.cosignedSize
        let origin = AuditBatches.origin(node: state.node, epoch: state.place.epoch)
        verifierKey = SignedNote.verifierKey(name: origin, .ed25519, key.publicKey)
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
            return try SpoolStore(database, key, state, files, configuration.limits)
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
                database, try readKey(files, state), state, files, configuration.limits)
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
            let beyond = try Int64.fetchOne(database, sql: "SELECT max(last) FROM runs") ?? state.last
            guard beyond <= state.last else { throw SpoolError(.damaged, "the spool has an event \(beyond)") }
            keptBytes = try Self.usage(through: state.acknowledged, database)
            oldestWaiting = try findOldest(after: state.acknowledged, database)
        }
    }

    static func usage(through last: Int64, _ database: Database) throws -> Int64 {
        try Int64.fetchOne(
            database, sql: "SELECT sum(\(SpoolRow.usageSQL)) FROM runs WHERE first <= ?1 AND last <= ?1",
            arguments: [last]) ?? 0
    }

    private func findOldest(after acknowledged: Int64, _ database: Database) throws -> Int64? {
        try Int64.fetchOne(
            database,
            sql: """
                SELECT time FROM runs WHERE first >= coalesce((SELECT max(first) FROM runs WHERE first <= ?1), ?1) \
                AND last >= ?1 ORDER BY first LIMIT 1
                """,
            arguments: [acknowledged + 1])
    }

    // MARK: Events

    /// Durable when it returns; nothing is changed when it throws. Returns what found no room.
    func append(_ events: [AuditEvent], at time: Timestamp) throws(SpoolError) -> Losses {
        guard Files.exists(files.database) else {
            throw SpoolError(.damaged, "\(files.database) was removed while it was in use")
        }
        var relief = SpoolRelief(limits, at: time)
        var losses = Losses()
        var run = SpoolRun(first: state.last + 1)
        try transaction("write \(events.count) events") { next, database in
            for event in events {
                let auditClass = event.name.auditClass
                if !limits.hasRoom(for: auditClass, at: next.usage + run.usage) {
                    try relief.forget(&next, database)
                    guard limits.hasRoom(for: auditClass, at: next.usage + run.usage) else {
                        losses.unstored[auditClass, default: 0] += 1
                        continue
                    }
                }
                next.tree.append(run.append(event, renderer), with: digest)
            }
            if !run.isEmpty {
                let row = run.row
                try row.insert(database)
                next.usage += row.usage
            }
            if next.usage > reliefFloor { try relief.relieve(&next, database) }
        }
        losses.dropped = relief.dropped
        reliefFloor = state.usage > limits.ceiling ? state.usage + limits.limit / 8 : limits.ceiling
        if relief.hasForgotten { keptBytes = 0 }
        if oldestWaiting == nil, !run.isEmpty { oldestWaiting = run.row.time }
        noteMark()
        return losses
    }

    func noteMark() { try? head.advance(to: state.mark) }

    /// A new run: from here on it has not ended cleanly.
    func begin(boot: String) throws(SpoolError) {
        try transaction("begin") { next, _ in
            next.boot = boot
            next.isClean = false
        }
        renderer = state.renderer
        try spoolOperation("begin") { try SpoolDatabase.foldLog(database) }
    }

    // MARK: End

    /// Says that this run ended well, and closes the files.
    func endCleanly() throws(SpoolError) {
        try transaction("end") { next, _ in next.isClean = true }
        try spoolOperation("close") {
            try SpoolDatabase.foldLog(database)
            try database.close()
        }
    }

    /// Before the files are moved or opened again.
    func close() { try? database.close() }

    /// One transaction: `body` changes a copy of the state, which counts when all of it is durable.
    func transaction(
        _ operation: String, _ body: (inout SpoolState, Database) throws -> Void
    ) throws(SpoolError) {
        var next = state
        var oldest = oldestWaiting
        try spoolOperation(operation) {
            try database.write { database in
                try body(&next, database)
                try next.store(database)
                if next.acknowledged != state.acknowledged || next.usage < state.usage {
                    oldest = try findOldest(after: next.acknowledged, database)
                }
            }
        }
        if next.cosigned != state.cosigned { cosignedSize = next.cosignedSize }
        state = next
        oldestWaiting = oldest
    }
}
