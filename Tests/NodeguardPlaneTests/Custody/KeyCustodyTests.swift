import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `Key custody` {
    let plane: RunningPlane
    let node: TestNode

    init() throws {
        plane = try RunningPlane()
        node = try TestNode.enrolled(plane, "db-1")
    }

    private func create(_ backup: String = "base", as node: TestNode? = nil) throws -> CreatedKey {
        let body = try JSONEncoder.plane.encode(KeyCreation(backup: backup))
        return try plane.call("POST", Keys.path, body: body, as: node ?? self.node).decode()
    }

    private func unwrap(
        _ id: String, _ wrapped: Data, kek: String, as node: TestNode? = nil, reason: String = "restore"
    ) throws -> RunningPlane.Answer {
        let body = try JSONEncoder.plane.encode(KeyUnwrapping(wrapped: wrapped, kek: kek, reason: reason))
        return try plane.call("POST", Keys.unwrapPath(id: id), body: body, as: node ?? self.node)
    }

    @Test func `makes a new key each time and gives it back to the whole cluster`() throws {
        let first = try create()
        let second = try create()
        #expect(first.key.count == 32 && first.key != second.key && first.id != second.id)
        #expect(first.wrapped.count == 60 && first.wrapped.range(of: first.key) == nil)
        #expect(try unwrap(first.id, first.wrapped, kek: first.kek).decode(UnwrappedKey.self).key == first.key)
        let neighbour = try TestNode.enrolled(plane, "db-2")
        let answer = try unwrap(first.id, first.wrapped, kek: first.kek, as: neighbour)
        #expect(try answer.decode(UnwrappedKey.self).key == first.key)
        let list = try plane.verb("key", "list", "--json")
        #expect(list.contains(#""unwraps":2"#) && !list.contains(first.key.base64EncodedString()))
        #expect(try plane.verb("journal", "-n", "50").contains("reason: restore"))
    }

    @Test func `opens nothing for another cluster, without a reason, or for a stranger`() throws {
        let key = try create()
        let foreign = try TestNode.enrolled(plane, cluster: "beta", "db-1")
        let other = try unwrap(key.id, key.wrapped, kek: key.kek, as: foreign)
        #expect(other.status == 403 && other.reason == "key-of-another-cluster")
        let deletion = try plane.call("POST", Keys.deletionPath(id: key.id), as: foreign)
        #expect(deletion.status == 403)
        #expect(try unwrap(key.id, key.wrapped, kek: key.kek, reason: "").reason == "reason-required")
        let body = try JSONEncoder.plane.encode(KeyCreation(backup: "base"))
        #expect(try plane.call("POST", Keys.path, body: body).reason == "identity-required")
        #expect(try unwrap("0000", key.wrapped, kek: key.kek).status == 404)
    }

    @Test func `opens only the wrap that it made for this key`() throws {
        let key = try create("base")
        let other = try create("base")
        #expect(try unwrap(key.id, other.wrapped, kek: key.kek).reason == "wrap-not-authentic")
        for offset in [0, 12, 30, 59] {
            var changed = key.wrapped
            changed[offset] ^= 1
            #expect(try unwrap(key.id, changed, kek: key.kek).reason == "wrap-not-authentic")
        }
        #expect(try unwrap(key.id, Data(), kek: key.kek).reason == "wrap-not-authentic")
        #expect(try unwrap(key.id, key.wrapped, kek: "file-1-0").reason == "kek-unknown")
        for backup in ["", "a\nb", String(repeating: "x", count: 256)] {
            let body = try JSONEncoder.plane.encode(KeyCreation(backup: backup))
            #expect(try plane.call("POST", Keys.path, body: body, as: node).reason == "backup-name")
        }
    }

    @Test func `deletes only after the delay, and then for ever`() throws {
        let key = try create()
        let deletion = try plane.call("POST", Keys.deletionPath(id: key.id), as: node).decode(KeyDeletion.self)
        let again = try plane.call("POST", Keys.deletionPath(id: key.id), as: node).decode(KeyDeletion.self)
        #expect(deletion == again && deletion.effectiveAt > UnixTime.now + 6 * 86_400)
        #expect(try unwrap(key.id, key.wrapped, kek: key.kek).status == 200)

        let state = try PlaneState.open(plane.state)
        let identity = try state.database.read { database in
            let der = try Data.fetchAll(database, sql: "SELECT der FROM certificates WHERE kind = 'node'")
            return try NodeIdentity.find(der: Array(#require(der.first)), now: UnixTime.now, database)
        }
        let wish = KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "late")
        let custody = KeyCustody(state: state)
        #expect(try custody.unwrap(key.id, for: identity, wish, now: deletion.effectiveAt - 1).key == key.key)
        let refusal = #expect(throws: Refusal.self) {
            try custody.unwrap(key.id, for: identity, wish, now: deletion.effectiveAt)
        }
        #expect(refusal?.reason == "key-deleted")
        try state.database.write { try custody.forgetDeleted(now: deletion.effectiveAt, $0) }
        #expect(throws: Refusal.self) {
            try custody.unwrap(key.id, for: identity, wish, now: deletion.effectiveAt - 1)
        }
        #expect(
            try plane.verb("journal").hasSuffix("granted  key.forget  plane  db-1  key \(key.id) of the backup base"))
    }

    @Test func `is braked when one node opens more keys than a restore needs`() throws {
        let limit = RateLimit(burst: 3, rate: 1)
        let start = ContinuousClock.now
        #expect((0..<3).allSatisfy { _ in limit.admit("a", at: start) })
        #expect(!limit.admit("a", at: start) && limit.admit("b", at: start))
        #expect(!limit.admit("a", at: start + .milliseconds(900)))
        #expect(limit.admit("a", at: start + .milliseconds(1100)))
        #expect(!limit.admit("a", at: start + .milliseconds(1100)))
    }
}
