import Foundation
import Testing

@testable import nodeguard_plane

@Suite struct `The state folder` {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "plane-state-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try TestStore.prepare(folder)
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
            if TestStore.isPostgres {
                let commit = try state.database.write { try String.fetchOne($0, sql: "SHOW synchronous_commit") }
                #expect(commit == "on")
                return
            }
            let (synchronous, journal) = try state.database.write {
                (try Int.fetchOne($0, sql: "PRAGMA synchronous"), try String.fetchOne($0, sql: "PRAGMA journal_mode"))
            }
            #expect(synchronous == 2 && journal == "wal")
        }
    }

    @Test func `keeps its keys from one start to the next`() throws {
        try withFolder { folder in
            let first = try PlaneState.open(folder, creating: true)
            let second = try PlaneState.open(folder)
            let pins = try [first, second].map { try $0.database.read { try AuthoritiesInForce($0).pins } }
            #expect(pins[0].count == 1 && pins[0] == pins[1] && first.wrapping.current.id == second.wrapping.current.id)
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

    @Test func `takes the journal of an older plane over into its own log`() throws {
        try withFolder { folder in
            try StateFile.makeFolder(folder)
            try StateFile.makeFolder(folder + "/authorities")
            let old = try TestStore.store(folder)
            try PlaneSchema.migrator.migrate(old, upTo: "2-revocation-lists")
            try old.write { database in
                for row in ["7, 'alpha', 'db-1', 'key.unwrap', 'granted', NULL", "9, NULL, NULL, 'x', 'refused', 'y'"] {
                    try database.execute(
                        sql: """
                            INSERT INTO journal (at, cluster, node, action, outcome, reason, detail)
                            VALUES (\(row), 'what "happened"')
                            """)
                }
            }
            for _ in 0..<2 {
                let state = try PlaneState.open(folder, creating: true)
                let events = try state.database.read { try PlaneLog.last(10, $0).map { try CanonicalJSON($0) } }
                #expect(events.map { $0["name"]?.text } == ["plane.begin", "key.unwrap", "x"])
                #expect(events.last?["time"]?.text == "1970-01-01T00:00:09Z")
                #expect(events.last?["fields"]?["detail"]?.text == #"what "happened""#)
                #expect(events[1]["fields"]?["node"]?.text == "db-1" && events[2]["fields"]?["reason"]?.text == "y")
                let left = try state.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM journal") }
                #expect(left == 0)
                let report = try state.database.read { try PlaneLogVerification(key: state.witness).run($0) }
                #expect(report == PlaneLogVerification.Report(events: 3))
            }
        }
    }
}
