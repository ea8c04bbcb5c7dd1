import Crypto
import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `Recovery of a node` {
    let plane: RunningPlane
    let key = P256.Signing.PrivateKey()

    init() throws { plane = try RunningPlane() }

    private func register(as node: TestNode) throws -> RunningPlane.Answer {
        let body = try JSONEncoder.plane.encode(RecoveryKey(publicKey: key.publicKey.derRepresentation))
        return try plane.call("PUT", Recovery.path, body: body, as: node)
    }

    private func ask(_ name: String = "db-1", uses: Int64 = 0) throws -> RunningPlane.Answer {
        let body = try JSONEncoder.plane.encode(RecoveryQuestion(cluster: "alpha", node: name, uses: uses))
        return try plane.call("POST", Recovery.challengePath, body: body)
    }

    /// Enrols with a proof; what is nil is as it should be.
    private func recover(
        challenge: String? = nil, signer: P256.Signing.PrivateKey? = nil, digest: [UInt8]? = nil, user: String = "db-1",
        label: String = "alpha", request known: Data? = nil
    ) throws -> RunningPlane.Answer {
        let request = try known ?? TestNode(plane, "db-1").request()
        let text = try challenge ?? ask().decode(RecoveryChallenge.self).challenge
        let signed = Recovery.signedBytes(
            challenge: text, cluster: "alpha", node: "db-1",
            requestDigest: digest ?? Array(SHA256.hash(data: request)))
        let signature = Array(try (signer ?? key).signature(for: signed).derRepresentation)
        let password = Recovery.password(challenge: text, signature: signature)
        try "user = \"\(user):\(password)\"\n".write(
            toFile: plane.folder + "/proof", atomically: true, encoding: .utf8)
        return try plane.call(
            "POST", EST.path(label: label, operation: .enroll),
            body: request.base64EncodedData(options: .lineLength64Characters), type: "application/pkcs10",
            ["--config", plane.folder + "/proof"])
    }

    /// Its identity is over, as the register has it.
    private func expire() throws {
        try TestStore.change(plane.state, "UPDATE certificates SET not_after = 1000 WHERE holder = 'db-1'")
    }

    @Test func `gives an identity for the key that was registered, so often and no more`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        #expect(try register(as: node).status == 204)
        #expect(try register(as: node).status == 204, "again")
        #expect(try recover().reason == "identity-valid")
        #expect(try ask(uses: 7).status == 200, "anybody may say so")
        for _ in 0..<3 {
            try expire()
            let answer = try recover()
            #expect(answer.status == 200, "\(answer.text)")
        }
        try expire()
        #expect(try recover().reason == "recovery-limit")
        try plane.verb("recovery", "limit", "4", "--cluster", "alpha")
        #expect(try recover().status == 200)
        try expire()
        try plane.verb("recovery", "limit", "0", "--cluster", "alpha")
        #expect(try ask().status == 423)
        let events = try plane.verb("journal", "-n", "100")
        for name in ["recovery.key", "recovery.use", "certificate.recover", "recovery.limit", "recovery-limit"] {
            #expect(events.contains(name), "\(events)")
        }
        #expect(events.components(separatedBy: "recovery.key").count == 2, "once: \(events)")
        #expect(events.contains("node.cloned"), "it never said that it had recovered: \(events)")
    }

    @Test func `is answered the same again when the answer was lost, and not counted`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        _ = try register(as: node)
        try expire()
        let request = try TestNode(plane, "db-1").request()
        let first = try recover(request: request)
        #expect(first.status == 200, "\(first.text)")
        for _ in 0..<5 { #expect(try recover(request: request).body == first.body) }
        #expect(try recover().reason == "identity-valid")
        let events = try plane.verb("journal", "-n", "100")
        #expect(events.components(separatedBy: "recovery.use").count == 2, "once: \(events)")
        #expect(!events.contains("node.cloned"), "\(events)")
    }

    @Test func `takes no proof but the one that answers its challenge`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        _ = try register(as: node)
        try expire()
        let other = try TestNode.enrolled(plane, "db-2")
        _ = try register(as: other)
        let foreign: RecoveryChallenge = try ask("db-2").decode()
        #expect(try recover(challenge: foreign.challenge).reason == "challenge-unknown")
        #expect(try recover(signer: P256.Signing.PrivateKey()).reason == "proof-wrong")
        #expect(try recover(digest: [UInt8](repeating: 0, count: 32)).reason == "proof-wrong")
        #expect(try recover(user: "db-2").status == 401)
        #expect(try recover(user: "db-9").status == 423)
        #expect(try recover(label: "beta").status == 423)
        #expect(try recover(label: "alpha.database").reason == "role-not-allowed")
        let good: RecoveryChallenge = try ask().decode()
        var bytes = try #require(Base64URL.decode(good.challenge))
        bytes[7] ^= 1
        #expect(try recover(challenge: Base64URL.encode(bytes)).reason == "challenge-unknown")
        #expect(try recover(challenge: good.challenge).status == 200)
        try expire()
        #expect(try recover(challenge: good.challenge).reason == "challenge-used")
    }

    @Test func `is locked for who was revoked, removed or replaced, and for who never was`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        #expect(try ask().status == 423, "no key is registered")
        _ = try register(as: node)
        #expect(try ask().status == 200)
        try plane.verb("revoke", node.serial)
        let locked = try ask()
        #expect(locked.status == 423 && locked.reason == Recovery.locked, "\(locked.text)")
        let second = try TestNode.enrolled(plane, "db-2")
        _ = try register(as: second)
        try plane.verb("node", "replace", "db-2", "--cluster", "alpha")
        #expect(try ask("db-2").status == 423)
        let third = try TestNode.enrolled(plane, "db-3")
        _ = try register(as: third)
        try plane.verb("node", "remove", "db-3", "--cluster", "alpha")
        #expect(try ask("db-3").status == 423)
        #expect(try ask("nobody").status == 423)
        #expect(
            try plane.call("PUT", Recovery.path, body: Data(#"{"public_key":"AAAA"}"#.utf8), as: node).status == 403)
    }

}
