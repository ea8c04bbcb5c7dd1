import Foundation
import OpenSSL
import TestSupport
import Testing

@testable import nodeguard_plane

@Suite struct `The published revocation lists` {
    /// A state folder with one cluster, without a running plane.
    private func withState(_ body: (PlaneState) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "plane-lists-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = try TestStore.makeState(folder)
        try state.database.write { try state.createCluster("alpha", now: UnixTime.now, $0) }
        try body(state)
    }

    private func read(_ state: PlaneState, at now: Int64) throws -> (tag: String, lists: [OpenSSL.RevocationList]) {
        let found = try #require(try PublishedLists.current(of: "alpha", state, now: now))
        let inForce = try state.database.read { try AuthoritiesInForce($0) }
        let issuers = try (inForce.roots + inForce.intermediates(of: "alpha"))
            .map { try OpenSSL.Certificate(der: $0.der) }
        let lists = try OpenSSL.RevocationList.parse(found.bytes, issuers: issuers)
        #expect(lists.count == 2 && lists[0].isIssued(by: issuers[1]) && lists[1].isIssued(by: issuers[0]))
        return (found.tag, lists)
    }

    private func issue(_ state: PlaneState, serial: String) throws {
        try state.database.write { database in
            try database.execute(
                sql: """
                    INSERT INTO certificates (
                        serial, fingerprint, kind, cluster, holder, not_before, not_after, der, authority)
                    VALUES (?, ?, 'client', 'alpha', 'shop', 0, ?, ?,
                        (SELECT id FROM authorities WHERE cluster = 'alpha'))
                    """,
                arguments: [serial, Data(RandomBytes.make(32)), UnixTime.now + 3600, Data()])
        }
    }

    private func revoke(_ state: PlaneState, serial: String) throws {
        let cluster = try state.database.write {
            try IssuedCertificates.revoke(serial: serial, now: UnixTime.now, $0)
        }
        #expect(cluster == "alpha")
    }

    @Test func `are the same until somebody is revoked, then new ones with a higher number`() throws {
        try withState { state in
            let now = UnixTime.now
            let first = try read(state, at: now)
            #expect(try read(state, at: now + 100).tag == first.tag)
            var before = first.lists[0]
            for serial in ["41", "42", "43"] {
                try issue(state, serial: serial)
                #expect(try state.database.read { try PublishedLists.tag(of: "alpha", now: now, $0) } != nil)
                try revoke(state, serial: serial)
                let tag = try state.database.read { try PublishedLists.tag(of: "alpha", now: now, $0) }
                #expect(tag == nil, "whoever revokes it")
                let next = try read(state, at: now)
                #expect(next.tag != first.tag && before.isOlder(than: next.lists[0]))
                #expect(next.lists[0].count == before.count + 1)
                before = next.lists[0]
            }
        }
    }

    @Test func `are signed anew at half of their time, and when the clock was set back`() throws {
        try withState { state in
            let (now, life) = (UnixTime.now, nodeguard_plane.RevocationList.lifetime)
            let first = try read(state, at: now)
            #expect(first.lists[0].thisUpdate < now && first.lists[0].nextUpdate == now + life)
            #expect(try read(state, at: now + life / 2 - 1).tag == first.tag)
            let second = try read(state, at: now + life / 2)
            #expect(second.tag != first.tag && second.lists[0].nextUpdate == now + life / 2 + life)
            let third = try read(state, at: now)
            #expect(third.lists[0].thisUpdate < now, "not from the future")
            #expect(second.lists[0].isOlder(than: third.lists[0]) && second.lists[1].isOlder(than: third.lists[1]))
        }
    }

    private func list(
        of root: AuthorityRecord, _ state: PlaneState, at now: Int64
    ) throws -> OpenSSL.RevocationList {
        let found = try #require(try PublishedLists.current(of: "alpha", state, now: now))
        let inForce = try state.database.read { try AuthoritiesInForce($0) }
        let issuers = try (inForce.roots + inForce.intermediates(of: "alpha"))
            .map { try OpenSSL.Certificate(der: $0.der) }
        let lists = try OpenSSL.RevocationList.parse(found.bytes, issuers: issuers)
        #expect(lists.count == inForce.listed(of: "alpha").count, "each authority's is there")
        let issuer = try OpenSSL.Certificate(der: root.der)
        return try #require(lists.first { $0.isIssued(by: issuer) })
    }

    @Test func `go on while a root is offline, whatever its list's age, the clock and another root's revocations`()
        throws
    {
        try withState { state in
            let now = UnixTime.now
            let custody = RootCustody(state: state, actor: .caller, now: now)
            let old = try state.database.write { database in
                let root = try custody.root(database)
                try custody.takeOffline(root, database)
                return root
            }
            guard case .file(let name) = old.keyPlace else { return #expect(Bool(false), "the key is no file") }
            let key = String(decoding: try StateFile.read(state.keys.file(name)), as: UTF8.self)
            try FileManager.default.removeItem(atPath: state.keys.file(name))
            let first = try list(of: old, state, at: now)
            for time in [now + OfflineRoot.listLifetime + 86_400, now - 3600, now] {
                #expect(try list(of: old, state, at: time).number == first.number)
                #expect(try state.database.read { try PublishedLists.tag(of: "alpha", now: time, $0) } != nil)
            }
            // The next root is in its place; one of its authorities is revoked.
            let new = try state.database.write { database in
                let rotation = try RotationSteps(state: state.with(rootKey: key), actor: .caller, now: now)
                    .start(database)
                return try #require(try AuthoritiesInForce(database).record(rotation.newRoot))
            }
            let before = try list(of: new, state, at: now)
            try state.database.write { database in
                let own = try AuthoritiesInForce(database).intermediates(of: "alpha")
                let record = try #require(own.first { $0.root == new.id })
                try AuthorityRecord.revoke(record, now: now, database)
                try state.addIntermediate(of: "alpha", under: new, now: now, database)
            }
            let after = try list(of: new, state, at: now)
            #expect(before.isOlder(than: after) && after.count == before.count + 1)
            #expect(try list(of: old, state, at: now).number == first.number)
        }
    }

    @Test func `are none of a cluster that there is not`() throws {
        try withState { state in
            for name in ["", "beta"] {
                let found = try PublishedLists.current(of: name, state, now: UnixTime.now)
                #expect(found == nil)
            }
        }
    }

    // MARK: over HTTPS

    private func header(_ name: String, _ answer: RunningPlane.Answer) -> String? {
        answer.headers.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix(name + ": ") }
            .map { String($0.dropFirst(name.count + 2)) }
    }

    private func ask(
        _ plane: RunningPlane, as node: TestNode?, after tag: String, wait: Int
    ) throws -> (answer: RunningPlane.Answer, took: Duration) {
        let began = ContinuousClock.now
        let answer = try plane.call(
            "GET", "/v1/clusters/alpha/crl", as: node, ["-H", "If-None-Match: \(tag)", "-H", "Prefer: wait=\(wait)"])
        return (answer, ContinuousClock.now - began)
    }

    /// Waits for what comes behind `tag`, in a process of its own that prints the status of the answer. Blocks: where
    /// all tests of this module keep their threads busy, a task that waits would be late.
    private func wait(
        _ plane: RunningPlane, as node: TestNode, after tag: String, seconds: Int
    ) throws -> Subprocess {
        let curl = try Subprocess(
            "curl",
            [
                "-sv", "--max-time", "60", "--cacert", plane.folder + "/root.pem", "--cert", node.chainFile, "--key",
                node.keyFile, "-H", "If-None-Match: \(tag)", "-H", "Prefer: wait=\(seconds)", "-o", "/dev/null", "-w",
                "answered %{http_code}\n", plane.url + "/v1/clusters/alpha/crl",
            ])
        let isSent = eventuallyBlocking(within: 20) { curl.errors.contains("> Prefer: ") }
        #expect(isSent, "\(curl.errors)")
        return curl
    }

    @Test func `reach a node that waits as soon as another process revokes`() throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let node = try TestNode.enrolled(plane, "db-1")
        let other = try TestNode.enrolled(plane, "db-2")
        let first = try plane.call("GET", "/v1/clusters/alpha/crl", as: node)
        let tag = try #require(header("etag", first))
        #expect(first.status == 200 && header("preference-applied", first) == nil)
        let serial = try other.serial
        let began = ContinuousClock.now
        let waiting = try wait(plane, as: node, after: tag, seconds: 50)
        try plane.verb("revoke", serial)
        let told = try waiting.end(within: 45)
        #expect(told.output == "answered 200\n" && ContinuousClock.now - began < .seconds(45), "\(told)")
        #expect(told.errors.lowercased().contains("preference-applied: wait=50"))
        let (after, _) = try ask(plane, as: node, after: tag, wait: 18)
        #expect(after.status == 200 && after.body != first.body)
    }

    @Test func `are waited for no longer than was asked, and only by nodes`() throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let node = try TestNode.enrolled(plane, "db-1")
        let tag = try #require(header("etag", try plane.call("GET", "/v1/clusters/alpha/crl")))
        let (waited, took) = try ask(plane, as: node, after: tag, wait: 1)
        #expect(waited.status == 304 && waited.body.isEmpty && took >= .seconds(1), "\(took)")
        #expect(header("preference-applied", waited) == "wait=1" && header("etag", waited) == tag)
        let (refused, _) = try ask(plane, as: nil, after: tag, wait: 10)
        #expect(refused.status == 304 && header("preference-applied", refused) == nil)
        #expect(try ask(plane, as: nil, after: "W/" + tag, wait: 0).answer.status == 304)
        #expect(try ask(plane, as: nil, after: "\"0-0\"", wait: 0).answer.status == 200)
        try plane.verb("revoke", try node.serial)
        let (revoked, _) = try ask(plane, as: node, after: "\"0-0\"", wait: 10)
        #expect(revoked.status == 200, "what is public must also reach a node that is revoked")
        #expect(header("preference-applied", revoked) == nil)
    }

    @Test func `are waited for once by each node, and by so many nodes`() async throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let node = try TestNode.enrolled(plane, "db-1")
        let tag = try #require(header("etag", try plane.call("GET", "/v1/clusters/alpha/crl")))
        let first = try wait(plane, as: node, after: tag, seconds: 50)
        // It may not have its place yet when the next one comes.
        let isLetGo = try eventuallyBlocking(within: 40) {
            _ = try ask(plane, as: node, after: tag, wait: 1)
            return !first.isRunning
        }
        #expect(isLetGo && first.output == "answered 304\n", "\(first.errors)")
        let full = RevocationNews(limit: 0)
        #expect(await full.wait(for: "alpha", after: tag, seconds: 50, as: "1") == false)
    }

    @Test func `hold up no end of the plane`() throws {
        let waiting: Subprocess
        let began: ContinuousClock.Instant
        do {
            let plane = try RunningPlane(clusters: ["alpha"])
            let node = try TestNode.enrolled(plane, "db-1")
            let tag = try #require(header("etag", try plane.call("GET", "/v1/clusters/alpha/crl")))
            waiting = try wait(plane, as: node, after: tag, seconds: 50)
            began = ContinuousClock.now
            // Its end is waited for here.
            withExtendedLifetime((plane, node)) {}
        }
        _ = try waiting.end(within: 40)
        #expect(ContinuousClock.now - began < .seconds(40))
    }
}
