import Foundation
import GRDB
import Testing

@testable import nodeguard_plane

@Suite struct `The state folder` {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "plane-state-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func `is for its owner only, secrets in files of their own`() throws {
        try withFolder { folder in
            let state = try PlaneState.open(folder, creating: true)
            try state.database.write { try state.createCluster("alpha", now: UnixTime.now, $0) }
            let paths = try FileManager.default.subpathsOfDirectory(atPath: folder)
            #expect(Set(paths).isSuperset(of: ["wrapping.key", "witness.key", "authorities/root.key"]))
            for path in [""] + paths {
                let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/" + path)
                let mode = try #require(attributes[.posixPermissions] as? Int)
                #expect(mode & 0o077 == 0, "\(path) has mode \(String(mode, radix: 8))")
            }
        }
    }

    @Test func `is written durably`() throws {
        try withFolder { folder in
            let state = try PlaneState.open(folder, creating: true)
            let (synchronous, journal) = try state.database.writeWithoutTransaction {
                (try Int.fetchOne($0, sql: "PRAGMA synchronous"), try String.fetchOne($0, sql: "PRAGMA journal_mode"))
            }
            #expect(synchronous == 2 && journal == "wal")
        }
    }

    @Test func `keeps its keys from one start to the next`() throws {
        try withFolder { folder in
            let first = try PlaneState.open(folder, creating: true)
            let second = try PlaneState.open(folder)
            #expect(first.pin == second.pin && first.wrapping.id == second.wrapping.id)
            #expect(first.witness.verifierKey == second.witness.verifierKey)
        }
    }

    @Test(arguments: ["wrapping.key", "witness.key", "authorities/root.key"])
    func `never makes a lost or changed key again in silence`(file: String) throws {
        try withFolder { folder in
            _ = try PlaneState.open(folder, creating: true)
            let path = folder + "/" + file
            let saved = try Data(contentsOf: URL(fileURLWithPath: path))
            try FileManager.default.removeItem(atPath: path)
            #expect(throws: PlaneProblem.self) { try PlaneState.open(folder, creating: true) }
            for content in ["", "garbage", String(repeating: "ab", count: 32) + "\n"] {
                try content.write(toFile: path, atomically: true, encoding: .utf8)
                #expect(throws: PlaneProblem.self) { try PlaneState.open(folder, creating: true) }
            }
            try saved.write(to: URL(fileURLWithPath: path))
            _ = try PlaneState.open(folder)
        }
    }

    @Test func `bounds what it remembers`() throws {
        try withFolder { folder in
            let state = try PlaneState.open(folder, creating: true)
            try state.database.write { database in
                let entry = Journal.Entry(
                    cluster: nil, node: nil, action: "x", outcome: .refused, reason: "y",
                    detail: String(repeating: "z", count: 5000))
                try database.execute(
                    sql: "INSERT INTO journal (id, at, action, outcome, detail) VALUES (1, 0, 'old', 'granted', '')")
                try database.execute(
                    sql: "INSERT INTO journal (id, at, action, outcome, detail) VALUES (?, 0, 'new', 'granted', '')",
                    arguments: [Journal.limit])
                try Journal.record(entry, now: 1, database)
                try Journal.trim(database)
                let left = try String.fetchAll(database, sql: "SELECT action FROM journal ORDER BY id")
                #expect(left == ["new", "x"])
                #expect(try Int.fetchOne(database, sql: "SELECT max(length(detail)) FROM journal") == 1000)
            }
        }
    }
}
