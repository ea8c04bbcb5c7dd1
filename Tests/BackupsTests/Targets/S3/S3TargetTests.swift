import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Backups

/// A stream on its way into a bucket of a real server.
struct BucketFixture {
    static let store = SharedStore()
    /// A fault is for whoever asks next.
    static let faulty = SharedStore()
    /// A volume of two parts, and one of a single request.
    static let layout = StreamLayout(frameLength: 1 << 20, framesPerVolume: 6)

    /// One server for many tests; whoever comes while it starts waits for the same.
    actor SharedStore {
        private lazy var made = Task { try await ObjectStore() }

        func get() async throws -> ObjectStore { try await made.value }
    }

    let target: S3Target
    let identity: BackupIdentity
    let key = BackupKey(id: "key-1", secret: SecretReference(copying: secureRandom(32)))
    let plaintext: [UInt8]

    init(
        in store: ObjectStore, count: Int = 6_400_000, checksums: S3Settings.Checksums = .aws,
        prefix: String = "a/b=c", authorities: String? = nil
    ) throws {
        var settings = S3Settings(
            bucket: ObjectStore.bucket, prefix: prefix, endpoint: store.endpoint, region: "us-east-1",
            credentials: .file(store.credentialsPath), checksums: checksums)
        settings.acknowledgesPlaintext = authorities == nil
        settings.authorities = authorities
        target = try S3Target(name: "bucket", settings: settings, memory: PartMemory(bytes: 24 << 20))
        // A name that must be encoded twice: once as a folder, once in a URL.
        identity = BackupIdentity(cluster: "cluster ü", backup: BackupIdentifier())
        plaintext = someBytes(count)
    }

    func put() async throws { try await blocking { try putNow() } }
    func get() async throws -> [UInt8] { try await blocking { try getNow() } }

    private func putNow() throws(BackupError) {
        guard let name = BackupName("base") else { throw BackupError(.internalFault, "no name") }
        let writer = BackupWriter(
            identity: identity, name: name, node: "db-1", version: "1",
            created: CreatedBackupKey(key: key, kek: "kek-1", wrapped: [1]), target: target, layout: Self.layout,
            width: 2)
        let sealed = try writer.seal(MemorySource(plaintext), allowsEmpty: true, watch: StreamWatch())
        _ = try writer.complete(sealed, producer: ProducerRecord(command: nil, status: 0))
    }

    private func getNow() throws(BackupError) -> [UInt8] {
        let catalog = BackupCatalog(cluster: identity.cluster, targets: [target])
        guard let entry = try catalog.entries().first(where: { $0.identity == identity }) else {
            throw BackupError(.notFound, "no such backup")
        }
        let reader = try BackupReader(
            entry.known, identity: identity, key: key, from: target, memory: StreamMemory(bytes: 1 << 26, coreCount: 2))
        let sink = MemorySink(limit: 64 << 20)
        _ = try StreamOpener(
            reader.manifest.volumes.map { volume in
                SealedMessage(
                    object: identity.object(.volume(volume.number)),
                    context: identity.context(.data, volume: volume.number, key: key),
                    frameLength: reader.manifest.frameLength, record: volume)
            }, key: key, from: target, to: sink, watch: StreamWatch()
        ).run(width: 2)
        return sink.bytes
    }

    var exists: Bool { get throws { try target.backups(of: identity.cluster).contains(identity.backup) } }
}

@Suite(.serialized) struct `A bucket as a target` {
    @Test(arguments: S3Settings.Checksums.allCases)
    func `gives back what was stored in parts, whatever the store checks it by`(
        _ checksums: S3Settings.Checksums
    ) async throws {
        let fixture = try BucketFixture(in: try await BucketFixture.store.get(), checksums: checksums)
        #expect(try !fixture.exists)
        try await fixture.put()
        #expect(try fixture.exists)
        #expect(try await fixture.get() == fixture.plaintext)
        try fixture.target.remove(fixture.identity.backup, of: fixture.identity.cluster)
        #expect(try !fixture.exists)
        #expect(throws: BackupError.self) { try fixture.target.openObject(fixture.identity.object(.volume(0))) }
        try fixture.target.remove(fixture.identity.backup, of: fixture.identity.cluster)
        await fixture.target.close()
    }

    @Test(arguments: [0, 1, 5 << 20])
    func `gives back what is short`(_ count: Int) async throws {
        let fixture = try BucketFixture(in: try await BucketFixture.store.get(), count: count)
        try await fixture.put()
        #expect(try await fixture.get() == fixture.plaintext)
        await fixture.target.close()
    }

    @Test func `never replaces an object`() async throws {
        let fixture = try BucketFixture(in: try await BucketFixture.store.get(), count: 10)
        try await fixture.put()
        let object = fixture.identity.object(.manifest)
        #expect(throws: BackupError.self) { try fixture.target.makeObject(object) }
        // Where the look before saw nothing, the store refuses.
        let store = try #require(Mirror(reflecting: fixture.target).descendant("store") as? S3Store)
        var request = S3Request("PUT", store.key(of: object))
        request.headers = store.headers(mark: "other", isConditional: true)
        do throws(S3Failure) {
            try store.client.perform(request)
            Issue.record("it was replaced")
        } catch { #expect(error.isTaken, "\(error)") }
        await fixture.target.close()
    }

    @Test func `is swept of what is unfinished and old, uploads too`() async throws {
        let store = try await BucketFixture.store.get()
        let fixture = try BucketFixture(in: store, prefix: "sweep")
        let cluster = fixture.identity.cluster
        try fixture.target.makeObject(fixture.identity.object(.volume(0))).complete()
        let inner = try #require(Mirror(reflecting: fixture.target).descendant("store") as? S3Store)
        let key = inner.key(of: fixture.identity.object(.volume(1)))
        try inner.client.perform(S3Request("POST", key, query: [("uploads", "")]))
        #expect(try inner.uploads("sweep/").map(\.key) == [key])
        let hourAgo = Timestamp(seconds: Timestamp.now.seconds - 3600)
        let soon = Timestamp(seconds: Timestamp.now.seconds + 3600)
        #expect(try fixture.target.sweep(cluster, untouchedSince: hourAgo) == [])
        // In this server every upload began in 2010.
        #expect(try inner.uploads("sweep/") == [])
        #expect(try fixture.target.sweep(cluster, untouchedSince: soon) == [fixture.identity.backup])
        #expect(try inner.uploads("sweep/") == [])
        #expect(try inner.list("sweep/").objects == [])
        await fixture.target.close()
    }

    @Test func `removes by name, and leaves what is not its own`() async throws {
        let fixture = try BucketFixture(in: try await BucketFixture.store.get(), count: 10, prefix: "others")
        try await fixture.put()
        let store = try #require(Mirror(reflecting: fixture.target).descendant("store") as? S3Store)
        let other = store.settings.key(of: "cluster%20%C3%BC/\(fixture.identity.backup)/notes.txt")
        try store.client.perform(S3Request("PUT", other))
        try fixture.target.remove(fixture.identity.backup, of: fixture.identity.cluster)
        #expect(try store.list("others/").objects.map(\.key) == [other])
        await fixture.target.close()
    }

    @Test func `is spoken to over TLS, and only where its certificate is right`() async throws {
        let authority = try TestAuthority(name: "Store")
        let store = try await ObjectStore(try authority.server())
        let fixture = try BucketFixture(in: store, authorities: authority.trustPath)
        try await fixture.put()
        #expect(try await fixture.get() == fixture.plaintext)
        await fixture.target.close()
        let stranger = try TestAuthority(name: "Stranger")
        let other = try BucketFixture(in: store, count: 10, authorities: stranger.trustPath)
        // By the machine's deadline for what is only tidied up: asked again ten times, a wrong certificate stays wrong.
        let inner = try #require(Mirror(reflecting: other.target).descendant("store") as? S3Store)
        do {
            _ = try await blocking { try inner.find("x", within: 500)?.length }
            Issue.record("a stranger's certificate was taken")
        } catch { #expect((error as? S3Failure)?.description.contains("certificate") == true, "\(error)") }
        await other.target.close()
    }

    @Test func `refuses who signs with another key`() async throws {
        let store = try await ObjectStore()
        try store.writeCredentials(secret: "another")
        let fixture = try BucketFixture(in: store, count: 10)
        do {
            try await fixture.put()
            Issue.record("it was taken")
        } catch {
            let error = try #require(error as? BackupError)
            #expect(error.kind == .target)
            #expect(error.description.contains("status 403"), "\(error)")
            #expect(!error.description.contains("another"))
        }
        await fixture.target.close()
    }
}

/// Whatever the store does, what is read is what was written; or nothing was written, and the reason is said.
@Suite(.serialized) struct `A bucket that misbehaves` {
    @Test(arguments: [("slow-down", 3), ("lost-complete", 1), ("skew", 1)])
    func `for a while harms nobody`(_ fault: String, _ count: Int) async throws {
        try await Self.outlast(fault, count)
    }

    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"),
        arguments: [
            ("reset-part", 2), ("error-in-success", 1), ("lost-put", 1), ("expired-token", 1), ("wrong-checksum", 2),
            ("reset-range", 2), ("cut-range", 1), ("drip", 3),
        ])
    func `in many ways harms nobody`(_ fault: String, _ count: Int) async throws {
        try await Self.outlast(fault, count)
    }

    private static func outlast(_ fault: String, _ count: Int) async throws {
        let store = try await BucketFixture.faulty.get()
        let fixture = try BucketFixture(in: store, prefix: "faults/\(fault)")
        try await store.make(fault, count: count)
        try await fixture.put()
        #expect(try await fixture.get() == fixture.plaintext)
        if fault == "skew" {
            // What is old there is old by the store's clock, which is an hour ahead.
            let inner = try #require(Mirror(reflecting: fixture.target).descendant("store") as? S3Store)
            let ahead = inner.client.byItsClock(.now).seconds - Timestamp.now.seconds
            #expect((3590...3610).contains(ahead), "\(ahead)")
        }
        try await store.make(fault, count: 0)
        await fixture.target.close()
    }

    @Test(arguments: [("wrong-etag", 1, "InvalidPart"), ("false-success", 1, "nothing is stored")])
    func `so that nothing helps fails the backup with a reason, and no manifest is there`(
        _ fault: String, _ count: Int, _ reason: String
    ) async throws {
        let store = try await BucketFixture.faulty.get()
        let fixture = try BucketFixture(in: store, prefix: "faults/\(fault)")
        try await store.make(fault, count: count)
        do {
            try await fixture.put()
            Issue.record("it was made")
        } catch {
            let error = try #require(error as? BackupError)
            #expect(error.kind == .target)
            #expect(error.description.contains(reason), "\(error)")
        }
        try await store.make(fault, count: 0)
        #expect(try !fixture.exists)
        let inner = try #require(Mirror(reflecting: fixture.target).descendant("store") as? S3Store)
        #expect(try inner.uploads("faults/\(fault)/") == [], "it was aborted")
        await fixture.target.close()
    }
}
