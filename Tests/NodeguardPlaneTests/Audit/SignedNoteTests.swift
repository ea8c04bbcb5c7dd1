import Crypto
import Foundation
import Testing

@testable import nodeguard_plane

@Suite struct `A signed note` {
    private func note() throws -> (String, AuditLogFixture) {
        var log = AuditLogFixture()
        log.append(3)
        return (try log.checkpoint(3), log)
    }

    @Test func `is read, and verified by its key and name only`() throws {
        let (text, log) = try note()
        let note = try SignedNote(Array(text.utf8))
        #expect(note.isSigned(by: log.origin, log.key.publicKey))
        #expect(!note.isSigned(by: "nodeguard/db-2/1", log.key.publicKey))
        #expect(!note.isSigned(by: log.origin, Curve25519.Signing.PrivateKey().publicKey))
        let checkpoint = try Checkpoint(note.text)
        #expect(checkpoint.size == 3 && checkpoint.origin == log.origin)
    }

    @Test func `is nothing any more once a bit of it is flipped`() throws {
        let (text, log) = try note()
        for offset in text.utf8.indices {
            var bytes = Array(text.utf8)
            bytes[text.utf8.distance(from: text.utf8.startIndex, to: offset)] ^= 1
            let isGood = (try? SignedNote(bytes))?.isSigned(by: log.origin, log.key.publicKey) ?? false
            #expect(!isGood)
        }
    }

    @Test(arguments: [
        "", "\n", "x", "text\n", "text\n\n", "\n\u{2014} a AAAAAAA=\n", "text\n\n\u{2014} a\n",
        "text\n\n- a AAAAAAA=\n",
        "text\n\n\u{2014} a AAAA\n", "text\n\n\u{2014} a !!!!\n", "text\n\n\u{2014} a b AAAAAAA=\n",
        "text\n\n" + String(repeating: "\u{2014} a AAAAAAA=\n", count: 9), String(repeating: "x", count: 5000) + "\n",
    ])
    func `is refused when malformed`(text: String) {
        #expect(throws: SignedNote.Flaw.self) { try SignedNote(Array(text.utf8)) }
    }

    @Test(arguments: ["", "o\n1\n", "o\n01\nAAAA\n", "o\n1\nAAAA\n", "o\n-1\nAAAA\n", "o\n1\nAAAA\nx\n"])
    func `holds no checkpoint of another form`(text: String) {
        #expect(throws: SignedNote.Flaw.self) { try Checkpoint(text) }
    }

    @Test func `is cosigned with a time that the signature covers`() throws {
        let witness = try WitnessKey(bytes: Array(Curve25519.Signing.PrivateKey().rawRepresentation))
        let other = try WitnessKey(bytes: Array(Curve25519.Signing.PrivateKey().rawRepresentation))
        let line = try witness.cosign("o\n1\nroot\n", now: 1_764_000_000)
        #expect(witness.isCosigned("o\n1\nroot\n", by: line))
        #expect(!witness.isCosigned("o\n2\nroot\n", by: line))
        #expect(!other.isCosigned("o\n1\nroot\n", by: line))
        #expect(!witness.isCosigned("o\n1\nroot\n", by: ""))
    }
}
