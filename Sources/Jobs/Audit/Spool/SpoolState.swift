import FoundationEssentials
import GRDB
import OpenSSL

/// The one row that says where the log stands. It changes in the same transaction as the events that it covers.
struct SpoolState: Equatable, Sendable {
    var node: String
    var cluster: String
    var epoch: Int64
    /// The boot in which the spool was last opened.
    var boot: String
    var publicKey: [UInt8]
    /// Over every event that was ever given a number.
    var tree = MerkleTree()
    /// Over every event that the plane acknowledged.
    var shipped = MerkleTree()
    /// The end of the last batch that was signed: what it covers must never change again.
    var offered: Int64 = 0
    /// Bytes of all stored rows.
    var usage: Int64 = 0
    var isRegistered = false
    /// The last run said goodbye.
    var isClean = true
    /// The last checkpoint that the plane cosigned, with its cosignature.
    var cosigned = ""
    /// The plane's verifier key, as it was when it was first seen.
    var witness = ""

    var last: Int64 { Int64(clamping: tree.size) }
    var acknowledged: Int64 { Int64(clamping: shipped.size) }
    /// The last cosignature covers everything up to here.
    var cosignedSize: UInt64 {
        let note = try? SignedNote(parsing: Array(cosigned.utf8))
        return note.flatMap { try? Checkpoint(parsing: $0.text) }?.size ?? 0
    }
    var place: AuditPlace { AuditPlace(node: node, cluster: cluster, epoch: UInt64(clamping: epoch)) }

    /// For what is added from here on.
    var renderer: EventRenderer { EventRenderer(place, boot: boot) }

    var mark: SpoolHead.Mark { SpoolHead.Mark(epoch: place.epoch, last: last, offered: offered) }

    static let tableSQL = """
        CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), node TEXT NOT NULL, cluster TEXT NOT NULL, \
        epoch INTEGER NOT NULL, boot TEXT NOT NULL, public_key BLOB NOT NULL, last INTEGER NOT NULL, \
        tree BLOB NOT NULL, acknowledged INTEGER NOT NULL, shipped BLOB NOT NULL, offered INTEGER NOT NULL, \
        usage INTEGER NOT NULL, registered INTEGER NOT NULL, clean INTEGER NOT NULL, cosigned TEXT NOT NULL, \
        witness TEXT NOT NULL, crc INTEGER NOT NULL) STRICT
        """

    func store(_ database: Database) throws {
        let statement = try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        try statement.execute(arguments: [
            node, cluster, epoch, boot, Data(publicKey), last, Data(tree.peakBytes), acknowledged,
            Data(shipped.peakBytes), offered, usage, isRegistered ? 1 : 0, isClean ? 1 : 0, cosigned, witness,
            Int64(checksum),
        ])
    }

    static func load(_ database: Database) throws -> SpoolState {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM state") else {
            throw SpoolError(.damaged, "the spool says nothing of its state")
        }
        let last = try row.decode(Int64.self, forColumn: "last")
        let acknowledged = try row.decode(Int64.self, forColumn: "acknowledged")
        let peaks = Array(try row.decode(Data.self, forColumn: "tree"))
        let shippedPeaks = Array(try row.decode(Data.self, forColumn: "shipped"))
        guard last >= acknowledged, acknowledged >= 0,
            let tree = MerkleTree(size: UInt64(last), peakBytes: peaks),
            let shipped = MerkleTree(size: UInt64(acknowledged), peakBytes: shippedPeaks)
        else { throw SpoolError(.damaged, "the spool's hash tree is damaged") }
        let state = SpoolState(
            node: try row.decode(forColumn: "node"), cluster: try row.decode(forColumn: "cluster"),
            epoch: try row.decode(forColumn: "epoch"), boot: try row.decode(forColumn: "boot"),
            publicKey: Array(try row.decode(Data.self, forColumn: "public_key")), tree: tree, shipped: shipped,
            offered: try row.decode(forColumn: "offered"), usage: try row.decode(forColumn: "usage"),
            isRegistered: try row.decode(Int64.self, forColumn: "registered") == 1,
            isClean: try row.decode(Int64.self, forColumn: "clean") == 1,
            cosigned: try row.decode(forColumn: "cosigned"), witness: try row.decode(forColumn: "witness"))
        guard try row.decode(Int64.self, forColumn: "crc") == Int64(state.checksum) else {
            throw SpoolError(.damaged, "the checksum of the spool's state does not fit")
        }
        return state
    }

    /// SQLite's pages have no checksum of their own.
    private var checksum: UInt32 {
        let text = """
            \(node)\n\(cluster)\n\(epoch)\n\(boot)\n\(last)\n\(acknowledged)\n\(offered)\n\(usage)\n\(isRegistered)
            \(isClean)\n\(cosigned)\n\(witness)
            """
        return Digest.crc32c(Array(text.utf8) + publicKey + tree.peakBytes + shipped.peakBytes)
    }
}
