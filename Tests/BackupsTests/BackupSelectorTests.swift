import Reports
import Testing

@testable import Backups

@Suite struct `The name of a backup` {
    @Test(arguments: ["base", "a", "nightly-2.full_x", "7"])
    func `is a plain label`(_ text: String) {
        #expect(BackupName(text)?.text == text)
        #expect(BackupSelector(text) == BackupName(text).map(BackupSelector.newest))
    }

    @Test(arguments: [
        "", ".", "..", "-x", "a/b", "a@b", "a b", "a\n", "ä", "../etc/passwd", String(repeating: "x", count: 129),
        "0191e7d0-0000-7000-8000-000000000000", "a@", "a@yesterday", "@2026", "a@2026-11-24T10:56:00ZZ", "a@20",
    ])
    func `is nothing else`(_ text: String) {
        #expect(BackupName(text) == nil)
        if text != "0191e7d0-0000-7000-8000-000000000000" { #expect(BackupSelector(text) == nil) }
    }

    @Test func `alone means the newest complete backup`() {
        let backups = [
            Self.backup("base", at: 100), Self.backup("base", at: 300), Self.backup("base", at: 200),
            Self.backup("other", at: 900),
        ]
        #expect(Self.selected("base", from: backups) == backups[1].backup)
        #expect(Self.selected("none", from: backups) == nil)
    }

    @Test func `with a time means the one that started then, and is refused when that is not one`() {
        let backups = [Self.backup("base", at: 0), Self.backup("base", at: 60), Self.backup("other", at: 0)]
        #expect(Self.selected("base@1970-01-01T00:00:00Z", from: backups) == backups[0].backup)
        #expect(Self.selected("base@1970-01-01T00:01", from: backups) == backups[1].backup)
        #expect(Self.selected("base@1970-01-01", from: backups) == nil)
        #expect(Self.selected("base@1971", from: backups) == nil)
    }

    @Test func `can be left out: an identifier says it all`() {
        let backups = [Self.backup("base", at: 0), Self.backup("base", at: 60)]
        #expect(Self.selected(backups[0].backup, from: backups) == backups[0].backup)
    }

    @Test func `has an identifier that sorts by time and reads as a UUIDv7`() throws {
        let early = BackupIdentifier(at: Timestamp(seconds: 1_700_000_000))
        let late = BackupIdentifier(at: Timestamp(seconds: 1_700_000_001))
        #expect(early < late)
        #expect(early.start == Timestamp(seconds: 1_700_000_000))
        let fixed = BackupIdentifier(milliseconds: 0x0123_4567_89AB, random: [UInt8](repeating: 0xFF, count: 10))
        #expect(fixed.text == "01234567-89ab-7fff-bfff-ffffffffffff")
        #expect(BackupIdentifier(fixed.text) == fixed)
        for wrong in [fixed.text.uppercased(), fixed.text + "0", "01234567-89ab-4fff-bfff-ffffffffffff", "../x"] {
            #expect(BackupIdentifier(wrong) == nil)
        }
    }

    /// A folder of the target can have any name, and a public manifest any contents.
    @Test func `of a year that no clock reaches, or of lengths that cannot be added, is no danger`() throws {
        let far = try #require(BackupIdentifier("ffffffff-ffff-7fff-8fff-ffffffffffff"))
        #expect(far.start.description.hasPrefix("2262-"))
        for lengths in [[Int64.max, 1], [-1]] {
            let objects = lengths.map { PublicManifest.StoredObject(object: "v", length: $0, crc32c: "0") }
            let manifest = PublicManifest(
                schema: PublicManifest.schema, backup: far.text, cluster: "a", node: "db-1", name: "base",
                startedAt: "", completedAt: "", keyName: "k", objects: objects)
            #expect(manifest.contradiction != nil && manifest.storedLength == 0)
        }
    }

    @Test func `of a cluster is one component of a path`() {
        for (cluster, folder) in [
            ("cluster-a", "cluster-a"), ("a.b_c", "a.b_c"), ("..", "%2E."), ("a/b", "a%2Fb"), ("ä", "%C3%A4"),
            ("", "%"),
        ] {
            #expect(BackupObject.folder(of: cluster) == folder)
        }
    }

    private static func selected(_ text: String, from backups: [PublicManifest]) -> String? {
        guard case .selected(let backup)? = BackupSelector(text)?.select(from: backups) else { return nil }
        return backup.backup
    }

    private static func backup(_ name: String, at seconds: Int64) -> PublicManifest {
        let start = Timestamp(seconds: seconds)
        return PublicManifest(
            schema: PublicManifest.schema, backup: BackupIdentifier(at: start).text, cluster: "c", node: "n",
            name: name,
            startedAt: start.description, completedAt: start.description, keyName: "k", objects: [])
    }
}
