import Foundation
import Reports
import TestSupport
import Testing

@testable import Audit

@Suite struct `The offline verifier` {
    private let body: [UInt8]
    private let key: [UInt8]

    init() throws { (body, key) = try Self.export(events: 40) }

    private static func export(events: Int) throws -> (body: [UInt8], key: [UInt8]) {
        let scenery = try SpoolScenery()
        let store = try scenery.create()
        _ = try store.append((1...events).map { event($0) }, at: .now)
        return (try store.makeBatch(first: 1, count: 1000).body, store.key.publicKey)
    }

    private var lines: [String] { String(decoding: body, as: UTF8.self).components(separatedBy: "\n") }

    private func verdict(_ lines: [String]) -> AuditVerifier.Verdict {
        AuditVerifier.verify(Array(lines.joined(separator: "\n").utf8), keys: VerifierKeys(logKey: key))
    }

    private func isBroken(_ verdict: AuditVerifier.Verdict, _ words: String) -> Bool {
        if case .broken(let reason) = verdict { reason.contains(words) } else { false }
    }

    @Test func `believes an export, from memory and from a file, with and without the key`() throws {
        let intact = AuditVerifier.Verdict.intact(
            events: 40, origin: "nodeguard/db-1/7", isSigned: true, isCosigned: nil)
        #expect(AuditVerifier.verify(body, keys: VerifierKeys(logKey: key)) == intact)
        #expect(
            AuditVerifier.verify(body)
                == .intact(events: 40, origin: "nodeguard/db-1/7", isSigned: nil, isCosigned: nil))
        let directory = try TemporaryDirectory()
        #expect(
            try AuditVerifier.verify(file: directory.write(body, to: "export"), keys: VerifierKeys(logKey: key))
                == intact)
    }

    @Test func `believes it with the plane's cosignature behind`() throws {
        let line = try FakeWitness().cosign("anything")
        guard case .intact = AuditVerifier.verify(body + Array(line.utf8), keys: VerifierKeys(logKey: key)) else {
            return #expect(Bool(false))
        }
    }

    @Test func `holds the checkpoint against the keys of the log and of the witness`() throws {
        let note = String(decoding: body, as: UTF8.self).components(separatedBy: "\n\n")[1...].joined(separator: "\n\n")
        let text = try SignedNote(parsing: Array(note.utf8)).text
        let (witness, other) = (try FakeWitness(), try FakeWitness(name: "other.example"))
        let cosigned = body + Array(try witness.cosign(text).utf8)
        let logKey = SignedNote.verifierKey(name: "nodeguard/db-1/7", .ed25519, key)
        var keys = VerifierKeys()
        try keys.add("# of db-1\n\n\(logKey)\n\(witness.verifierKey)\n")
        #expect(
            AuditVerifier.verify(cosigned, keys: keys)
                == .intact(events: 40, origin: "nodeguard/db-1/7", isSigned: true, isCosigned: true))
        #expect(isBroken(AuditVerifier.verify(body, keys: keys), "not cosigned by the given witness"))
        var wrong = VerifierKeys()
        try wrong.add(other.verifierKey)
        #expect(isBroken(AuditVerifier.verify(cosigned, keys: wrong), "not cosigned by the given witness"))
        var foreign = VerifierKeys()
        try foreign.add(SignedNote.verifierKey(name: "nodeguard/db-2/7", .ed25519, key))
        #expect(isBroken(AuditVerifier.verify(cosigned, keys: foreign), "none of the given keys is that log's"))
    }

    @Test func `takes keys as verifier keys and as PEM, and says what is none`() throws {
        let der: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00] + key
        let body = Data(der).base64EncodedString()
        var keys = VerifierKeys()
        try keys.add("-----BEGIN PUBLIC KEY-----\n\(body)\n-----END PUBLIC KEY-----\n")
        #expect(keys == VerifierKeys(logKey: key))
        let good = SignedNote.verifierKey(name: "a", .ed25519, key)
        for text in [
            "", "# nothing", "word", good.replacing("a+", with: "b+"), String(good.dropLast()), good + "\nword",
            "-----BEGIN PRIVATE KEY-----\n\(body)\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
            Array(repeating: good, count: 300).joined(separator: "\n"),
            String(repeating: "#\n", count: VerifierKeys.sizeLimit),
        ] {
            #expect(throws: SignedNote.Flaw.self, "\(text.prefix(60))") { try keys.add(text) }
        }
    }

    @Test func `finds what is missing, doubled, moved or added`() {
        var changed = lines
        changed.remove(at: 10)
        #expect(isBroken(verdict(changed), "event 11 is missing, or moved: event 12 stands in its place"))
        changed = lines
        changed.insert(changed[10], at: 10)
        #expect(isBroken(verdict(changed), "event 11 stands once more in the place of event 12"))
        changed = lines
        changed.swapAt(3, 4)
        #expect(isBroken(verdict(changed), "event 4 is missing, or moved: event 5"))
        changed = lines
        changed.remove(at: 39)
        #expect(isBroken(verdict(changed), "covers 40 events, the export has 39"))
        changed = lines
        changed.insert(lines[39].replacing("\"seq\":40", with: "\"seq\":41"), at: 40)
        #expect(isBroken(verdict(changed), "covers 40 events, the export has 41"))
    }

    @Test func `finds any changed byte`() throws {
        let (body, key) = try Self.export(events: 6)
        // Every byte of the checkpoint, whose base64 must have one form only.
        for index in Array(stride(from: 0, to: body.count, by: 11)) + Array(body.count - 200..<body.count) {
            var changed = body
            changed[index] ^= 1
            if case .intact = AuditVerifier.verify(changed, keys: VerifierKeys(logKey: key)) {
                #expect(Bool(false), "byte \(index)")
            }
        }
    }

    @Test func `finds an event that says the same in another form`() {
        var changed = lines
        changed[5] = changed[5].replacing("\"outcome\":\"success\"", with: "\"outcome\": \"success\"")
        #expect(isBroken(verdict(changed), "event 6 was changed: it is not in canonical form"))
    }

    @Test func `finds a key that is another's, and an export that was cut`() {
        let other = [UInt8](repeating: 9, count: 32)
        #expect(isBroken(AuditVerifier.verify(body, keys: VerifierKeys(logKey: other)), "not signed by the given key"))
        for count in [0, 1, body.count / 2, body.count - 1] {
            if case .intact = AuditVerifier.verify(Array(body.prefix(count)), keys: VerifierKeys(logKey: key)) {
                #expect(Bool(false), "\(count) bytes")
            }
        }
    }

    @Test func `does not read without end`() {
        let endless = [UInt8](repeating: 0x61, count: AuditVerifier.lineLimit + 2)
        #expect(isBroken(AuditVerifier.verify(endless), "event 1 is too long"))
        #expect(isBroken(AuditVerifier.verify(body + [UInt8](repeating: 0x61, count: 100_000)), "too long"))
        let nested = [UInt8](repeating: 0x5B, count: 500_000) + [0x0A]
        #expect(isBroken(AuditVerifier.verify(nested), "no JSON object"))
    }
}
