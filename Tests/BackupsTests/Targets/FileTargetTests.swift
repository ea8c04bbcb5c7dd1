import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Backups

@Suite struct `A folder as a target` {
    private static func complete(_ fixture: SealedFixture) throws {
        let writer = BackupWriter(
            identity: fixture.identity, name: try #require(BackupName("base")), node: "db-1", version: "1",
            created: CreatedBackupKey(key: fixture.key, kek: "kek-1", wrapped: [1]), target: fixture.target,
            layout: fixture.layout, width: 2)
        _ = try writer.complete(fixture.sealed, producer: ProducerRecord(command: nil, status: 0))
    }

    private static func files(in folder: String) throws -> [String] {
        let paths = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return paths.filter { !Files.isDirectory("\(folder)/\($0)") }.sorted()
    }

    @Test func `holds the objects by the names that the contract gives them, for their owner only`() throws {
        let fixture = try SealedFixture(someBytes(600))
        try Self.complete(fixture)
        let start = "cluster-a/\(fixture.identity.backup)/"
        #expect(
            try Self.files(in: fixture.target.root)
                == ["keys.json", "manifest.ngb", "manifest.pub.json", "v/000000.ngb", "v/000001.ngb", "v/000002.ngb"]
                .map { start + $0 })
        for file in try Self.files(in: fixture.target.root) {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(fixture.target.root)/\(file)")
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test func `lists a backup if and only if its manifest is there`() throws {
        let fixture = try SealedFixture(someBytes(600))
        #expect(try fixture.target.backups(of: "cluster-a") == [])
        try Self.complete(fixture)
        #expect(try fixture.target.backups(of: "cluster-a") == [fixture.identity.backup])
        #expect(try fixture.target.backups(of: "cluster-b") == [])
        try Files.remove("\(fixture.target.root)/\(fixture.identity.object(.manifest).path)")
        #expect(try fixture.target.backups(of: "cluster-a") == [])
    }

    @Test func `shows an object only once it is complete, and forgets one that is abandoned`() throws {
        let fixture = try SealedFixture(someBytes(10))
        let object = fixture.identity.object(.volume(7))
        let path = "\(fixture.target.root)/\(object.path)"
        let sealer = FrameSealer(frameLength: 64)
        sealer.putHeader(
            of: try MessageKey.create(
                context: EncryptionContext(["a": "b"]), backupKey: fixture.key, frameLength: 64))
        var writer: (any SealedObjectWriter)? = try fixture.target.makeObject(object)
        try writer?.append(sealer.part)
        #expect(!Files.exists(path))
        writer = nil
        #expect(try Files.list(Files.folder(of: path)) == ["000000.ngb"])
        try fixture.target.makeObject(object).complete()
        #expect(Files.exists(path))
        #expect(throws: BackupError.self) { try fixture.target.makeObject(object) }
    }

    @Test func `removes the manifest first, and everything in the end`() throws {
        let fixture = try SealedFixture(someBytes(600))
        try Self.complete(fixture)
        // Interrupted after its first step, by an object that cannot be removed as a file.
        let stubborn = "\(fixture.target.root)/\(fixture.identity.object(.publicManifest).path)"
        try Files.remove(stubborn)
        try Files.makeDirectory(stubborn, mode: 0o700)
        #expect(throws: BackupError.self) { try fixture.target.remove(fixture.identity.backup, of: "cluster-a") }
        #expect(try fixture.target.backups(of: "cluster-a") == [])
        #expect(try Self.files(in: fixture.target.root).count == 4, "keys and three volumes")
        try Files.removeTree(stubborn)
        try fixture.target.remove(fixture.identity.backup, of: "cluster-a")
        #expect(try Self.files(in: fixture.target.root) == [])
        #expect(try Files.list("\(fixture.target.root)/cluster-a") == [])
        // Twice is no error: a removal may have been interrupted after its last step.
        try fixture.target.remove(fixture.identity.backup, of: "cluster-a")
    }

    @Test func `is swept of what unfinished backups left, but only when that is old`() throws {
        let unfinished = try SealedFixture(someBytes(600))
        let complete = try SealedFixture(someBytes(10))
        try Self.complete(complete)
        let hourAgo = Timestamp(seconds: Timestamp.now.seconds - 3600)
        let soon = Timestamp(seconds: Timestamp.now.seconds + 3600)
        #expect(try unfinished.target.sweep("cluster-a", untouchedSince: hourAgo) == [])
        #expect(try unfinished.target.sweep("cluster-a", untouchedSince: soon) == [unfinished.identity.backup])
        #expect(try Self.files(in: unfinished.target.root) == [])
        #expect(try complete.target.sweep("cluster-a", untouchedSince: soon) == [])
        #expect(try complete.target.backups(of: "cluster-a") == [complete.identity.backup])
    }

    @Test func `ignores what is none of its business`() throws {
        let fixture = try SealedFixture(someBytes(10))
        try Self.complete(fixture)
        for name in ["lost+found", "..data", "0191E7D0-0000-7000-8000-000000000000"] {
            try Files.makeDirectory("\(fixture.target.root)/cluster-a/\(name)", mode: 0o700)
        }
        #expect(try fixture.target.backups(of: "cluster-a") == [fixture.identity.backup])
        let soon = Timestamp(seconds: Timestamp.now.seconds + 3600)
        #expect(try fixture.target.sweep("cluster-a", untouchedSince: soon) == [])
        #expect(try Files.list("\(fixture.target.root)/cluster-a").count == 4)
    }

    @Test(arguments: [
        ("file:///var/backups", "/var/backups"), ("file:///var/back%20ups/", "/var/back ups"),
        ("file://host/var", nil), ("s3://bucket", nil), ("/var/backups", nil), ("file://", nil), ("file:///a%00b", nil),
    ])
    func `is named by a file URL`(_ url: String, _ path: String?) {
        #expect(FileTarget.path(of: url) == path)
    }

    /// A file system of 1 MiB, so that the disk is really full.
    @Test func `that is full fails the backup, says so, and leaves no half of it`() throws {
        let folder = try temporaryDirectory()
        let small = folder.file("small")
        try Files.makeDirectory(small, mode: 0o700)
        try Subprocess.check("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", small])
        defer { _ = try? Subprocess.run("umount", [small]) }
        let target = FileTarget(name: "small", root: small + "/backups")
        let key = BackupKey(id: "key-1", secret: SecretReference(copying: secureRandom(32)))
        let identity = BackupIdentity(cluster: "cluster-a", backup: BackupIdentifier())
        let sealer = StreamSealer(
            .data, of: identity, key: key, layout: StreamLayout(frameLength: 65_536, framesPerVolume: 4),
            from: MemorySource(someBytes(2 << 20)), to: target, watch: StreamWatch())
        do throws(BackupError) {
            _ = try sealer.run(width: 2)
            Issue.record("2 MiB went into 1 MiB")
        } catch {
            #expect(error.kind == .target)
            #expect(error.description.contains("No space left on device; make room there"))
        }
        #expect(try target.backups(of: "cluster-a") == [])
        #expect(!(try Self.files(in: small)).contains { $0.hasSuffix(".partial") })
        try target.remove(identity.backup, of: "cluster-a")
        #expect(try Self.files(in: small) == [])
    }
}
