import Crypto
import Foundation
import Testing

@testable import nodeguard_plane

@Suite struct `The authorities of an older plane` {
    /// Of the last list that the older plane made.
    private let lastNumber = UnixTime.now + 1000

    /// A state folder as a plane left it that had one root and one authority for each cluster.
    private func withOlderState(_ body: (String, CertificateAuthority, CertificateAuthority) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "plane-older-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try StateFile.makeFolder(folder)
        try StateFile.makeFolder(folder + "/authorities")
        let now = UnixTime.now
        let root = try CertificateAuthority.makeRoot(SigningKey(P256.Signing.PrivateKey()), now: now)
        let issuer = try root.makeIntermediate(
            SigningKey(P256.Signing.PrivateKey()), cluster: "alpha", now: now)
        _ = try root.keepKey(in: folder + "/authorities/root.key")
        _ = try issuer.keepKey(in: folder + "/authorities/cluster-alpha.key")
        let wrapping = try WrappingKey.create(file: folder + "/wrapping.key")
        let witness = try WitnessKey.create(file: folder + "/witness.key")
        let store = try PlaneStore.sqlite(path: folder + "/plane.sqlite")
        try PlaneSchema.migrator.migrate(store, upTo: "3-own-log")
        try store.write { database in
            try PlaneState.set("root-certificate", to: Data(root.der), database)
            try PlaneState.set("wrapping-key", to: Data(wrapping.id.utf8), database)
            try PlaneState.set("witness-key", to: witness.publicKey, database)
            try database.execute(
                sql: "INSERT INTO clusters (name, certificate, created_at) VALUES ('alpha', ?, 5)",
                arguments: [Data(issuer.der)])
            try database.execute(
                sql: """
                    INSERT INTO certificates (
                        serial, fingerprint, kind, cluster, holder, not_before, not_after, der, revoked_at)
                    VALUES ('41', x'01', 'client', 'alpha', 'shop', 0, ?, x'', 7)
                    """,
                arguments: [now + 3600])
            try database.execute(
                sql: """
                    INSERT INTO revocation_lists (authority, issuer, number, revocations, made_at, der)
                    VALUES ('alpha', ?, ?, 0, 5, x''), ('', ?, 8, 0, 5, x'')
                    """,
                arguments: [Data(issuer.der), lastNumber, Data(root.der)])
        }
        try body(folder, root, issuer)
    }

    @Test func `are the first of many, with their keys, certificates and lists`() throws {
        try withOlderState { folder, root, issuer in
            let state = try PlaneState.open(folder)
            let inForce = try state.database.read { try AuthoritiesInForce($0) }
            #expect(inForce.records.map(\.der) == [root.der, issuer.der])
            #expect(inForce.roots.map(\.der) == [root.der] && inForce.rotation == nil)
            let found = try #require(inForce.issuer(of: "alpha", for: "alpha/db-1"))
            #expect(try state.database.read { try found.load(from: state, $0).der } == issuer.der)
            let revoked = try state.database.read {
                try RevokedCertificate.all(by: found, now: UnixTime.now, $0)
            }
            #expect(revoked.map(\.serial) == [[0x41]])
            let lists = try #require(try PublishedLists.current(of: "alpha", state, now: UnixTime.now))
            let number = try #require(Int64(lists.tag.dropFirst().prefix { $0 != "-" }))
            #expect(number > lastNumber, "numbers only grow")
        }
    }

    @Test func `can be changed`() throws {
        try withOlderState { folder, root, _ in
            let state = try PlaneState.open(folder)
            let steps = RotationSteps(state: state, actor: .caller, now: UnixTime.now)
            let rotation = try state.database.write { try steps.start($0) }
            #expect(rotation.machine.phase == .trusting)
            let reopened = try PlaneState.open(folder)
            let inForce = try reopened.database.read { try AuthoritiesInForce($0) }
            #expect(inForce.roots.first?.der == root.der && inForce.roots.count == 2)
            #expect(inForce.bundle(of: "alpha")?.count == 6 && inForce.bundle(of: "beta") == nil)
            try reopened.database.write { try reopened.createCluster("beta", now: UnixTime.now, $0) }
            let after = try reopened.database.read { try AuthoritiesInForce($0) }
            #expect(after.intermediates(of: "beta").count == 2, "under each root")
            let keys = try FileManager.default.contentsOfDirectory(atPath: folder + "/authorities")
            #expect(Set(keys).isSuperset(of: ["root.key", "root.3.key", "cluster-alpha.4.key", "cluster-beta.key"]))
        }
    }
}
