import Foundation
import GRDB
import IO
import OpenSSL
import Reports
import TestSupport

@testable import Audit

/// A spool in a folder of its own, and what tests do to it.
struct SpoolScenery {
    let directory: TemporaryDirectory
    var configuration: AuditConfiguration
    var files: SpoolFiles { SpoolFiles(directory: directory.path) }

    init(limit: Int64 = 1 << 30) throws {
        directory = try TemporaryDirectory()
        configuration = AuditConfiguration(
            directory: directory.path, limit: limit, node: "db-1", cluster: "cluster-a", boot: "boot-1")
    }

    func create(epoch: UInt64 = 7) throws -> SpoolStore {
        try SpoolStore.create(
            files, AuditPlace(node: "db-1", cluster: "cluster-a", epoch: epoch), configuration)
    }

    func open() throws -> SpoolStore { try SpoolStore.open(files, configuration) }

    func spool(_ board: HealthBoard = HealthBoard(conditions: []), _ metrics: Metrics = Metrics()) -> AuditSpool {
        let figures = AuditFigures(metrics)
        return AuditSpool(
            configuration, figures, AuditHealth(board, figures), AuditAdmission(configuration.whenFull)
        ) {}
    }

    /// As it would be after a crash: what is on the disk while the store is open.
    func image() throws -> SpoolScenery {
        let copy = try SpoolScenery(limit: configuration.limit)
        for path in [files.database, files.log, files.key, files.head] where Files.exists(path) {
            let name = String(path.dropFirst(directory.path.count + 1))
            try copy.directory.write(try directory.read(name), to: name)
        }
        return copy
    }

    func quarantined() -> [String] {
        let folder = directory.file("quarantine")
        return ((try? Files.list(folder)) ?? []).flatMap { name in (try? Files.list("\(folder)/\(name)")) ?? [] }
    }
}

func event(_ number: Int, _ name: AuditEventName = .connectionAccepted, padding: Int = 0) -> AuditEvent {
    var fields: AuditFields = ["number": .count(number)]
    if padding > 0 { fields["padding"] = .string(String(repeating: "p", count: padding)) }
    return AuditEvent(name, fields: fields)
}

extension SpoolStore {
    /// Every stored line from `first` on, read in batches as the shipper would.
    func lines(from first: Int64) throws -> [String] {
        var lines: [String] = []
        var next = first
        while next <= state.last {
            let batch = try makeBatch(first: next, count: 1000)
            lines += batch.lines
            next = Int64(batch.last) + 1
        }
        return lines
    }

    /// What the rows take, as the database has them.
    func storedUsage() throws -> Int64? {
        try database.read { try Int64.fetchOne($0, sql: "SELECT sum(\(SpoolRow.usageSQL)) FROM runs") }
    }

    func rowCount() throws -> Int? { try database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM runs") } }
}

extension AuditBatch {
    var lines: [String] {
        let text = String(decoding: body, as: UTF8.self)
        return text.components(separatedBy: "\n\n").first?.components(separatedBy: "\n") ?? []
    }
}

/// The members of an event's line.
func members(_ line: String) -> [String: Any] {
    (try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]) ?? [:]
}

func seq(_ line: String) -> Int { members(line)["seq"] as? Int ?? -1 }
func name(_ line: String) -> String { members(line)["name"] as? String ?? "" }
func field(_ line: String, _ name: String) -> Int? { (members(line)["fields"] as? [String: Any])?[name] as? Int }

func tree(over lines: [String]) -> MerkleTree {
    var tree = MerkleTree()
    for line in lines { tree.append(Array(line.utf8)) }
    return tree
}
