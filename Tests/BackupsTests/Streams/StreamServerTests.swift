import Foundation
import IO
import Reports
import TestSupport
import Testing

@testable import Backups

@Suite struct `A backup through the stream socket` {
    @Test func `comes back byte for byte, and is listed and verified`() async throws {
        let running = try RunningJob()
        // Three volumes, the last a short one.
        let bytes = someBytes(2 * 8 * 4096 + 5000)
        let made = try await running.put("base", bytes)
        #expect(made.bytes == Int64(bytes.count) && made.volumes == 3 && made.name == "base")
        let list = try await running.list()
        #expect(list.map(\.name) == ["base"] && list.map(\.backup) == [made.backup])
        for level in 1...3 {
            let verified = try await running.client { try $0.verify("base", level: level) }
            #expect(verified.level == level && verified.bytes == made.bytes)
        }
        let (restored, error) = try await running.get("base")
        #expect(error == nil)
        #expect(restored == bytes)
        #expect(running.custody.reasons == ["verify", "verify", "verify", "restore"])
        await running.stop()
    }

    @Test func `is audited with who asked, counted, and shown in the status`() async throws {
        let running = try RunningJob()
        let made = try await running.put("base", someBytes(10_000))
        _ = try await running.get("base")
        _ = try await running.client { try $0.verify("base") }
        #expect(running.lastSuccess("base"))
        _ = try await running.client { try $0.delete("base") }
        #expect(!running.lastSuccess("base"), "there is no such backup any more")
        _ = try? await running.put("nothing", [])
        await running.stop()
        #expect(
            running.audited.map(\.name) == [
                .backupStarted, .backupCompleted, .backupRead, .backupVerified, .backupDeleted, .backupStarted,
                .backupFailed,
            ])
        for event in running.audited {
            #expect(event.fields["caller.uid"] == .count(getuid()))
            #expect(event.fields["caller.pid"] == .count(getpid()))
            #expect(event.fields["target"] == "local")
        }
        #expect(running.audited[1].fields["backup"] == .string(try #require(made.backup)))
        #expect(running.audited[1].fields["bytes"] == 10_000)
        let metrics = running.metrics.openMetricsText
        #expect(metrics.contains("nodeguard_backup_sealed_bytes_total 10000\n"))
        #expect(metrics.contains("nodeguard_backup_restored_bytes_total 10000\n"))
        #expect(metrics.contains("nodeguard_backup_completed_total 1\n"))
        #expect(metrics.contains("nodeguard_backup_failed_total 1\n"))
        #expect(running.board.snapshot.reasons.map(\.code) == ["BACKUP_FAILED"])
    }

    @Test func `that failed is forgotten with the next of its name, or on demand`() async throws {
        let running = try RunningJob()
        _ = try? await running.put("base", [])
        _ = try? await running.put("mistyped", [])
        #expect(running.board.snapshot.reasons.map(\.subject).sorted() == ["base", "mistyped"])
        let named = running.board.snapshot.reasons.first { $0.subject == "mistyped" }
        #expect(named?.action.contains("nodeguard backup delete mistyped") == true)
        _ = try await running.put("base", [1])
        #expect(running.board.snapshot.reasons.map(\.subject) == ["mistyped"])
        #expect(try await running.client { try $0.delete("mistyped") }.name == "mistyped")
        #expect(running.board.snapshot.reasons.isEmpty)
        await #expect(throws: BackupError.self) { try await running.client { try $0.delete("mistyped") } }
        #expect(try await running.list().count == 1)
        _ = try? await running.put("base", [])
        #expect(running.board.snapshot.reasons.first?.action.contains("delete") == false, "there is one to be lost")
        await running.stop()
    }

    @Test func `stores nothing in clear, and no key`() async throws {
        let running = try RunningJob()
        _ = try await running.put("base", [UInt8](repeating: 0x41, count: 20_000))
        let needle = [UInt8](repeating: 0x41, count: 16)
        for file in running.storedFiles {
            let bytes = try running.folder.read("backups/\(file)")
            #expect(!Data(bytes).contains(needle))
            if file.hasSuffix(".json") { #expect(!String(decoding: bytes, as: UTF8.self).contains("\"key\":\"bk-\"")) }
        }
        #expect(running.storedFiles.count == 4)
        await running.stop()
    }

    @Test func `of a name is a new one each time, and a bare name means the newest`() async throws {
        let running = try RunningJob()
        let first = try await running.put("base", [1])
        let second = try await running.put("base", [2])
        #expect(try await running.list().count == 2)
        #expect(try await running.get("base").bytes == [2])
        #expect(try await running.get(try #require(first.backup)).bytes == [1])
        _ = try await running.client { try $0.delete("base") }
        #expect(running.lastSuccess("base"), "of the one that is left")
        #expect(try await running.get("base").bytes == [1])
        #expect(running.custody.deleted == ["bk-\(try #require(second.backup))"])
        #expect(try await running.list().map(\.backup) == [first.backup])
        await running.stop()
    }

    @Test func `is made of a command that succeeds`() async throws {
        let running = try RunningJob()
        let made = try await running.client { try $0.run("base", command: ["/bin/sh", "-c", "printf hello; exit 0"]) }
        #expect(made.bytes == 5)
        #expect(try await running.get("base").bytes == Array("hello".utf8))
        await running.stop()
    }

    @Test func `records how its producer ended only where somebody knows`() async throws {
        let running = try RunningJob()
        let piped = try await running.put("piped", [1])
        let ran = try await running.client { try $0.run("ran", command: ["/bin/sh", "-c", "echo x"]) }
        let catalog = BackupCatalog(cluster: "cluster-a", targets: [running.target])
        for (made, status) in [(piped, nil), (ran, Int32(0))] {
            let entry = try #require(try catalog.entries().first { $0.known.backup == made.backup })
            let wrap = try #require(try catalog.keys(of: entry).wraps.first)
            let secret = try await running.custody.keys.unwrap(wrap.key, Array(wrap.wrapped), wrap.kek, "look")
            let key = BackupKey(id: wrap.key, secret: secret)
            let manifest = try SealedManifest.read(of: entry.identity, key: key, from: running.target)
            #expect(manifest.producer.status == status)
        }
        await running.stop()
    }

    @Test(arguments: [
        (["/bin/sh", "-c", "echo something; exit 3"], "status 3"),
        (["/bin/sh", "-c", "echo x; kill -9 $$"], "status 137"),
        (["/no/such/command"], "status 127"), (["/bin/sh", "-c", "exit 0"], "empty"),
    ])
    func `is not made of a command that fails or says nothing`(_ command: [String], _ reason: String) async throws {
        let running = try RunningJob()
        await #expect {
            try await running.client { try $0.run("half", command: command) }
        } throws: { error in
            (error as? BackupError)?.kind == .producer && "\(error)".contains(reason)
        }
        #expect(running.storedFiles == [])
        #expect(running.custody.deleted == running.custody.created)
        #expect(running.audited.last?.name == .backupFailed && running.audited.last?.outcome == .failure)
        await running.stop()
    }

    @Test func `is made of an empty stream only when that was asked for`() async throws {
        let running = try RunningJob()
        await #expect(throws: BackupError.self) { try await running.put("empty", []) }
        #expect(running.storedFiles == [])
        _ = try await running.put("empty", [], allowEmpty: true)
        let (bytes, error) = try await running.get("empty")
        #expect(bytes == [] && error == nil)
        await running.stop()
    }

    @Test func `needs its key: without one nothing is written, and nothing is read`() async throws {
        let running = try RunningJob()
        _ = try await running.put("base", [1, 2, 3])
        let files = running.storedFiles
        running.custody.goAway()
        do {
            _ = try await running.put("base", [4])
            Issue.record("a backup without a key")
        } catch let error as BackupError {
            #expect(error.kind == .key && error.description.contains("the plane is away"))
        }
        #expect(running.storedFiles == files)
        let (bytes, error) = try await running.get("base")
        #expect(bytes == [] && error?.kind == .key)
        #expect(try await running.list().count == 1, "a list needs no key")
        await running.stop()
    }

    @Test func `that was damaged gives the frames before the damage, and a failure`() async throws {
        let running = try RunningJob()
        let bytes = someBytes(8 * 4096)
        _ = try await running.put("base", bytes)
        let path = running.folder.file("backups/") + (try #require(running.storedFiles.first { $0.hasSuffix("0.ngb") }))
        var stored = try Files.read(path, limit: 1 << 20)
        stored[stored.count - 100] ^= 1
        try Files.write(stored, to: path, mode: 0o600)
        let (restored, error) = try await running.get("base")
        #expect(error?.kind == .corrupt)
        #expect(restored == Array(bytes.prefix(7 * 4096)))
        _ = try await running.client { try $0.verify("base", level: 1) }
        for level in 2...3 {
            await #expect(throws: BackupError.self) {
                try await running.client { try $0.verify("base", level: level) }
            }
        }
        try Files.write(Array(stored.dropLast()), to: path, mode: 0o600)
        await #expect(throws: BackupError.self) { try await running.client { try $0.verify("base", level: 1) } }
        #expect(running.audited.last?.name == .backupVerified && running.audited.last?.outcome == .failure)
        await running.stop()
    }

    @Test func `is not believed to be what its public manifest says`() async throws {
        let running = try RunningJob()
        _ = try await running.put("base", [1])
        let path =
            running.folder.file("backups/") + (try #require(running.storedFiles.first { $0.hasSuffix(".pub.json") }))
        let text = String(decoding: try Files.read(path, limit: 1 << 20), as: UTF8.self)
        try Files.write(Array(text.replacing("\"base\"", with: "\"other\"").utf8), to: path, mode: 0o600)
        #expect(try await running.list().map(\.name) == ["other"])
        let (bytes, error) = try await running.get("other")
        #expect(bytes == [] && error?.kind == .corrupt)
        await running.stop()
    }

    /// `keys.json` lies in the target, where others can write; its key's name becomes part of a call to the plane.
    @Test func `asks for no key by a name that is none`() async throws {
        let running = try RunningJob()
        _ = try await running.put("base", [1])
        let path =
            running.folder.file("backups/") + (try #require(running.storedFiles.first { $0.hasSuffix("keys.json") }))
        let text = String(decoding: try Files.read(path, limit: 1 << 20), as: UTF8.self)
        try Files.write(Array(text.replacing("\"bk-", with: "\"../nodes/bk-").utf8), to: path, mode: 0o600)
        let (bytes, error) = try await running.get("base")
        #expect(bytes == [] && error?.kind == .corrupt)
        #expect(running.custody.reasons == [])
        await running.stop()
    }

    @Test func `that was left unfinished is invisible, and the job starts beside it`() async throws {
        let folder = try temporaryDirectory()
        let custody = TestCustody()
        let first = try RunningJob(in: folder, custody: custody)
        _ = try await first.put("base", someBytes(9000))
        _ = try await first.put("torn", someBytes(9000))
        await first.stop()
        // As SIGKILL between the last volume and the manifest leaves it.
        let torn = try #require(try first.target.backups(of: "cluster-a").last)
        let object = BackupIdentity(cluster: "cluster-a", backup: torn).object(.manifest)
        try Files.rename("\(first.target.root)/\(object.path)", to: "\(first.target.root)/\(object.path).partial")
        let second = try RunningJob(in: folder, custody: custody)
        #expect(try await second.list().map(\.name) == ["base"])
        #expect(try await second.get("torn").error?.kind == .notFound)
        #expect(try await second.get("base").bytes == someBytes(9000))
        let isFound = await eventually(within: 60) {
            second.metrics.openMetricsText.contains("last_success_timestamp_seconds{name=\"base\"}")
        }
        #expect(isFound)
        await second.stop()
    }
}
