import Foundation
import OpenSSL
import Synchronization
import TestSupport
import Testing

@testable import Certificates

@Suite struct `The certificates on the disk` {
    private static let authority = Result { try TestAuthority() }
    private static let identities = Result {
        try (0..<4).map { try authority.get().client(name: "node-\($0)").tlsIdentity() }
    }

    private func identity(_ number: Int) throws -> TLSIdentity { try Self.identities.get()[number] }

    private func store(_ state: TemporaryDirectory) -> CertificateStore {
        CertificateStore(role: "database", stateDirectory: state.path)
    }

    private func names(_ state: TemporaryDirectory, _ path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: state.file(path))) ?? []).sorted()
    }

    @Test func `are kept in numbered folders with a link to the newest, two at most, readable by nobody else`() throws {
        let state = try TemporaryDirectory()
        for number in 0..<4 { _ = try store(state).publish(try identity(number), joinedWith: nil) }
        #expect(names(state, "certificates/database") == ["current", "g3", "g4"])
        #expect(names(state, "certificates/database/current") == ["chain.pem", "key.pem", "meta.json"])
        let link = try FileManager.default.destinationOfSymbolicLink(
            atPath: state.file("certificates/database/current"))
        #expect(link == "g4")
        for (path, mode) in [("", 0o700), ("/g4", 0o700), ("/g4/key.pem", 0o600), ("/g4/chain.pem", 0o600)] {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: state.file("certificates/database" + path))
            #expect(attributes[.posixPermissions] as? Int == mode, "\(path)")
        }
        let loaded = try store(state).load()
        #expect(loaded.certificate?.identity.leaf == (try identity(3)).leaf)
        #expect(loaded.certificate?.generation == 4)
        #expect(loaded.damage == [])
    }

    @Test func `survive a crash before each step of a publication`() throws {
        let steps = Mutex<[PublicationStep]>([])
        let counting = try TemporaryDirectory()
        _ = try CertificateStore(role: "database", stateDirectory: counting.path) { step in
            steps.withLock { $0.append(step) }
        }.publish(try identity(0), joinedWith: nil)
        let all = steps.withLock { $0 }
        #expect(
            all == [
                .makeFolder, .write("key.pem"), .write("chain.pem"), .write("meta.json"), .replaceLink, .removeOld,
            ])
        for (index, crash) in all.enumerated() {
            for published in [0, 1, 2] {
                let state = try TemporaryDirectory()
                for number in 0..<published { _ = try store(state).publish(try identity(number), joinedWith: nil) }
                let dying = CertificateStore(role: "database", stateDirectory: state.path) {
                    step throws(StoreError) in
                    if step == crash { throw StoreError("the machine died") }
                }
                #expect(throws: StoreError.self) { try dying.publish(try identity(3), joinedWith: nil) }

                // Complete once meta.json is there; before that the old one is in service.
                let isNew = index > 3
                let expected = isNew ? try identity(3) : published == 0 ? nil : try identity(published - 1)
                let loaded = try store(state).load()
                #expect(loaded.certificate?.identity.leaf == expected?.leaf, "\(crash) after \(published)")
                #expect(loaded.damage == [], "\(crash) after \(published)")
                _ = try store(state).publish(try identity(2), joinedWith: nil)
                #expect(try store(state).load().certificate?.identity.leaf == (try identity(2)).leaf)
                #expect(names(state, "certificates/database").count <= 3)
            }
        }
    }

    @Test(arguments: ["chain.pem", "key.pem", "meta.json"], ["nonsense", "", nil])
    func `that are damaged are moved aside, and the generation before is used`(file: String, content: String?) throws {
        let state = try TemporaryDirectory()
        for number in 0..<2 { _ = try store(state).publish(try identity(number), joinedWith: nil) }
        let path = "certificates/database/g2/" + file
        if let content {
            try state.write(content, to: path)
        } else {
            try FileManager.default.removeItem(atPath: state.file(path))
        }
        let loaded = try store(state).load()
        #expect(loaded.certificate?.identity.leaf == (try identity(0)).leaf)
        #expect(loaded.damage.map(\.generation) == [2])
        #expect(names(state, "quarantine") == ["certificates-database-g2"])
        #expect(names(state, "certificates/database/current").count == 3, "the link points at the good one")
        #expect(try store(state).load().damage == [], "it is reported once")
        #expect(try store(state).publish(try identity(2), joinedWith: nil).generation == 2)
    }

    @Test func `with the key of another certificate are damaged`() throws {
        let state = try TemporaryDirectory()
        _ = try store(state).publish(try identity(0), joinedWith: nil)
        try identity(1).key.writePEM(to: state.file("certificates/database/g1/key.pem"))
        let loaded = try store(state).load()
        #expect(loaded.certificate == nil)
        #expect(loaded.damage.first?.reason.contains("does not belong") == true)
    }

    @Test func `of which nothing is known are not moved`() throws {
        let state = try TemporaryDirectory()
        _ = try store(state).publish(try identity(0), joinedWith: nil)
        // A loop of links cannot be opened, even by root: as unreadable as a disk that fails.
        let key = state.file("certificates/database/g1/key.pem")
        try FileManager.default.removeItem(atPath: key)
        try FileManager.default.createSymbolicLink(atPath: key, withDestinationPath: key)
        #expect(throws: StoreError.self) { try store(state).load() }
        #expect(names(state, "quarantine") == [])
        #expect(names(state, "certificates/database") == ["current", "g1"])
    }

    @Test func `of trust come back with the membership`() throws {
        let state = try TemporaryDirectory()
        let authority = try Self.authority.get()
        let membership = Membership(url: "https://p", cluster: "alpha", node: "db-1", pins: ["sha256:00"])
        let anchors = try TrustAnchors([try authority.root.certificate(), try authority.intermediate.certificate()])
        try TrustStore(stateDirectory: state.path).publish(StoredTrust(anchors: anchors, membership: membership))
        let loaded = try TrustStore(stateDirectory: state.path).load().trust
        #expect(loaded?.membership == membership)
        #expect(loaded?.anchors.certificates == anchors.certificates)
        try state.write("-----BEGIN CERTIFICATE-----\n", to: "trust/g1/anchors.pem")
        #expect(try TrustStore(stateDirectory: state.path).load().damage.count == 1)
        #expect(names(state, "quarantine") == ["trust-g1"])
    }
}

@Suite struct `A request that is under way` {
    @Test func `is the same after a restart, and another one for another purpose`() throws {
        let state = try TemporaryDirectory()
        let made = Mutex(0)
        func take(_ purpose: String) throws -> CertificateDraft {
            let folder = DraftFolder(path: state.file("request"), keys: nil)
            if let draft = folder.existing(for: purpose) { return draft }
            folder.discard()
            made.withLock { $0 += 1 }
            let key = try PrivateKey.generate(.ecP256)
            let wish = CertificateWish.identity(of: "db-1", in: "alpha")
            let draft = CertificateDraft(key: key, request: try wish.request(key: key))
            try folder.write(draft, for: purpose)
            return draft
        }
        let first = try take("join")
        let again = try take("join")
        #expect(again.request == first.request)
        #expect(again.key.publicKeyDER == first.key.publicKeyDER)
        #expect(made.withLock { $0 } == 1)
        try DraftFolder(path: state.file("request"), keys: nil).postpone(until: 1_800_000_000.25)
        #expect(DraftFolder(path: state.file("request"), keys: nil).postponedUntil == 1_800_000_001)
        #expect(try take("renew").request != first.request)
        #expect(DraftFolder(path: state.file("request"), keys: nil).postponedUntil == nil, "that was another request")
        try state.write("damaged", to: "request/key.pem")
        #expect(try take("renew").key.publicKeyDER != first.key.publicKeyDER)
        DraftFolder(path: state.file("request"), keys: nil).discard()
        #expect(!FileManager.default.fileExists(atPath: state.file("request")))
    }
}
