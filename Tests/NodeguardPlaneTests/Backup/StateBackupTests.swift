import Crypto
import Foundation
import PlaneAPI
import TestSupport
import Testing

@testable import nodeguard_plane

@Suite struct `A backup of the plane` {
    let folder: TemporaryDirectory
    let key = OperatorPrivateKey.create()

    init() throws { folder = try temporaryDirectory() }

    private func restore(
        _ file: String, to name: String, url: String? = nil, _ lists: [LostRevocationList] = []
    ) throws -> StateRestore.Outcome {
        try StateRestore(
            file: file, key: key, directory: folder.file(name), url: url, lists: lists, now: UnixTime.now
        ).run()
    }

    /// With something in as many tables as can be filled without a node.
    private func filledState(_ name: String) throws -> PlaneState {
        let state = try TestStore.makeState(folder.file(name))
        let now = UnixTime.now
        try state.database.write { database in
            for cluster in ["alpha", "beta"] { try state.createCluster(cluster, now: now, database) }
            try state.invite(node: "db-1", of: "alpha", now: now, database)
            _ = try JoinToken.create(cluster: "alpha", node: "db-1", lifetime: 3600, now: now, database)
            _ = try DesiredStates.set(
                DesiredContent(), node: nil, of: "alpha", lifetime: nil, state, now: now, database)
            try state.log.record(PlaneEvent(name: "x", actor: .plane, detail: "\u{1F511} ü \\ '"), now: now, database)
            try database.execute(
                sql: """
                    INSERT INTO audit_logs (cluster, node, epoch, public_key, registered_at)
                    VALUES ('alpha', 'db-1', 7, ?, 9)
                    """,
                arguments: [Data(repeating: 0, count: 32)])
            try database.execute(
                sql: "INSERT INTO audit_events (log, seq, event) VALUES (1, 1, ?)",
                arguments: [Data((0..<200_000).map { UInt8(truncatingIfNeeded: $0) })])
        }
        _ = try PublishedLists.current(of: "alpha", state, now: now)
        return state
    }

    /// All rows of all tables but those that a restore changes, as texts.
    private func contents(_ state: PlaneState) throws -> [String: Set<String>] {
        try state.database.read { database in
            var all: [String: Set<String>] = [:]
            let changed: Set = [
                "plane_log", "plane_events", "configuration_keys", "desired_versions", "tokens", "settings",
            ]
            for table in try StateTables.names(database) where !changed.contains(table) {
                let rows = try Row.fetchAll(database, sql: "SELECT * FROM \(table)")
                all[table] = Set(
                    rows.map { row in "\(zip(row.columns, row.values).sorted { $0.0 < $1.0 }.map { "\($0)" })" })
            }
            return all
        }
    }

    @Test func `is the same plane again, in the same store and from one into the other`() throws {
        let state = try filledState("first")
        let before = try contents(state)
        #expect(before["audit_events"]?.count == 1 && before["authorities"]?.count == 3)
        let server = try DatabaseServer.shared.get()
        var source = state
        for (index, url) in [nil, try server.makeDatabase(), nil].enumerated() {
            let file = folder.file("backup-\(index)")
            let manifest = try StateBackup(state: source, recipients: [key.publicKey]).write(
                to: file, now: UnixTime.now)
            #expect(manifest.files.map(\.path).contains("authorities/root.key"))
            let outcome = try restore(file, to: "restored-\(index)", url: url)
            #expect(outcome.manifest == manifest && outcome.taken.revoked == 0)
            source = try PlaneState.open(folder.file("restored-\(index)"))
            #expect(try contents(source) == before)
            let report = try source.database.read { try PlaneLogVerification(key: source.witness).run($0) }
            #expect(report.flaw == nil && report.events == manifest.logSize + 1)
            // Numbers that the store gives go on.
            try source.database.write { database in
                let values = "('alpha', 'db-\(index + 2)', 7, ?, 9)"
                try database.execute(
                    sql: "INSERT INTO audit_logs (cluster, node, epoch, public_key, registered_at) VALUES \(values)",
                    arguments: [Data(repeating: 0, count: 32)])
                try database.execute(sql: "DELETE FROM audit_logs WHERE id > 1")
                try source.createCluster("gamma", now: UnixTime.now, database)
                try database.execute(sql: "DELETE FROM clusters WHERE name = 'gamma'")
                try database.execute(sql: "DELETE FROM authorities WHERE cluster = 'gamma'")
            }
        }
    }

    @Test func `takes the lists that it knows, and names authorities that were made since`() throws {
        let state = try filledState("first")
        let file = folder.file("backup")
        _ = try StateBackup(state: state, recipients: [key.publicKey]).write(to: file, now: UnixTime.now)
        let (old, new) = try state.database.write { database in
            let inForce = try AuthoritiesInForce(database)
            let old = try #require(inForce.issuer(of: "alpha", for: nil))
            let root = try #require(inForce.planeRoot)
            try AuthorityRecord.revoke(old, now: UnixTime.now, database)
            return (old, try state.addIntermediate(of: "alpha", under: root, now: UnixTime.now, database))
        }
        let kept = try #require(try PublishedLists.current(of: "alpha", state, now: UnixTime.now))
        try Data(kept.bytes).write(to: URL(fileURLWithPath: folder.file("cluster.crl")))
        let lists = try LostRevocationList.read(folder.file("cluster.crl"))
        #expect(lists.count == 3)
        let outcome = try restore(file, to: "second", url: TestStore.newDatabase(), lists)
        #expect(outcome.taken.revoked == 1, "the authority")
        #expect(outcome.taken.unknown.count == 1 && outcome.taken.unknown[0].contains("OU=alpha"))
        let second = try PlaneState.open(folder.file("second"))
        let (issuing, revoked) = try second.database.read { database in
            let inForce = try AuthoritiesInForce(database)
            return (inForce.issuer(of: "alpha", for: nil), inForce.record(old.id)?.revokedAt)
        }
        #expect(issuing != nil && issuing?.der != new.der && revoked != nil, "a cluster is never without one")
        #expect(try PublishedLists.current(of: "alpha", second, now: UnixTime.now) != nil)
    }

    @Test func `puts versions forward, signs nothing old anew, and voids what may have been used`() throws {
        let state = try filledState("first")
        let file = folder.file("backup")
        _ = try StateBackup(state: state, recipients: [key.publicKey]).write(to: file, now: UnixTime.now)
        let numbers = try state.database.read { try PublishedLists.tag(of: "alpha", now: UnixTime.now, $0) }
        let now = UnixTime.now
        let before = try state.database.read { try DesiredStates.signed(for: "db-1", of: "alpha", $0)?.hash }
        _ = try restore(file, to: "second", url: TestStore.newDatabase())
        let second = try PlaneState.open(folder.file("second"))
        try second.database.write { database in
            #expect(try Restoration.held(database) == ["alpha"])
            #expect(try DesiredStates.due(now: now + 400 * 86_400, database) == [])
            #expect(try DesiredStates.signed(for: "db-1", of: "alpha", database)?.hash == before)
            #expect(try DesiredStates.sign("alpha", second, by: .plane, now: now, database) > now)
            #expect(try Restoration.held(database) == [])
            #expect(try PublishedLists.tag(of: "alpha", now: now, database) == numbers)
            let usable = try Int.fetchOne(database, sql: "SELECT count(*) FROM tokens WHERE expires_at > \(now)")
            #expect(usable == 0)
        }
    }

    @Test func `is of one moment while the plane goes on writing`() async throws {
        let state = try filledState("first")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for index in 0..<200 {
                    try await state.database.write { database in
                        try state.invite(node: "n-\(index)", of: "beta", now: 1, database)
                        let event = PlaneEvent(name: "x", actor: .plane, cluster: "beta", detail: "\(index)")
                        try state.log.record(event, now: 1, database)
                    }
                }
            }
            group.addTask { [folder, key] in
                for index in 0..<5 {
                    _ = try await offLoop {
                        try StateBackup(state: state, recipients: [key.publicKey]).write(
                            to: folder.file("moving-\(index)"), now: UnixTime.now)
                    }
                }
            }
            try await group.waitForAll()
        }
        for index in 0..<5 { try checkMoment(index) }
    }

    /// Each node came with its event; db-1 and one other event were there before.
    private func checkMoment(_ index: Int) throws {
        _ = try restore(folder.file("moving-\(index)"), to: "moved-\(index)")
        let state = try PlaneState.open(folder.file("moved-\(index)"))
        try state.database.read { database in
            let events = try Data.fetchAll(database, sql: "SELECT event FROM plane_events").filter {
                String(decoding: $0, as: UTF8.self).contains(#""name":"x""#)
            }
            #expect(try StateTables.count("nodes", database) == Int64(events.count))
        }
    }

    @Test func `goes nowhere but where nothing is, and only whole`() throws {
        let state = try filledState("first")
        let file = folder.file("backup")
        _ = try StateBackup(state: state, recipients: [key.publicKey]).write(to: file, now: UnixTime.now)
        let there = #expect(throws: PlaneProblem.self) { try restore(file, to: "first") }
        #expect(there?.description.contains("is not empty") == true)
        let url = try DatabaseServer.shared.get().makeDatabase()
        // What fails late leaves an empty database.
        let foreign = try CertificateAuthority.makeRoot(SigningKey(P256.Signing.PrivateKey()), now: UnixTime.now)
        try Data(RevocationList.make(of: foreign, [], number: 1, now: UnixTime.now))
            .write(to: URL(fileURLWithPath: folder.file("foreign.crl")))
        let lists = try LostRevocationList.read(folder.file("foreign.crl"))
        let late = #expect(throws: PlaneProblem.self) { try restore(file, to: "second", url: url, lists) }
        #expect(late?.description.contains("none of this plane's authorities has signed") == true)
        #expect(try PlaneStore.postgresql(PostgresAddress(url)).read { try StateTables.names($0) } == [])
        _ = try restore(file, to: "second", url: url)
        // As one that was killed between filling the database and the end leaves it.
        let killed = try PlaneState.open(folder.file("second"))
        try killed.database.write { try UnfinishedRestore.begin([], $0) }
        _ = try restore(file, to: "again", url: url)
        #expect(try !PlaneState.open(folder.file("again")).database.read { try UnfinishedRestore.isIn($0) })
        let full = #expect(throws: PlaneProblem.self) { try restore(file, to: "third", url: url) }
        #expect(full?.description.contains("holds a plane already") == true)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
        let cut = folder.file("cut")
        try bytes.dropLast(1).write(to: URL(fileURLWithPath: cut))
        #expect(throws: PlaneProblem.self) { try restore(cut, to: "third") }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(Set(names) == ["first", "backup", "foreign.crl", "second", "again", "cut"])
    }

    @Test func `of a newer plane, or with a path out of its folder, is refused`() throws {
        let good = BackupManifest(
            createdAt: 1, plane: "p", logSize: 1, checkpoint: "", migrations: ["99-of-tomorrow"], files: [], tables: [:]
        )
        let file = BackupManifest.File(path: "../out", size: 1, sha256: StateFolder.digest([7]))
        let bad = BackupManifest(
            createdAt: 1, plane: "p", logSize: 1, checkpoint: "", migrations: [], files: [file], tables: [:])
        for (index, manifest) in [good, bad].enumerated() {
            let path = folder.file("made-\(index)")
            let writer = try SealedFileWriter(path, recipients: [key.publicKey])
            for record in [BackupRecord.manifest(manifest), .file([7]), .end] { try writer.write(record.encoded()) }
            try writer.finish()
            let error = #expect(throws: PlaneProblem.self) { try restore(path, to: "out") }
            #expect(error?.description == BackupRecord.malformed.description)
        }
        #expect(try !FileManager.default.contentsOfDirectory(atPath: folder.path).contains("out"))
    }
}
