import Foundation
import Reports
import TestSupport
import Testing

@testable import Audit

@Suite struct `The offline verifier` {
    private let body: [UInt8]
    private let key: [UInt8]

    init() throws {
        let scenery = try SpoolScenery()
        let store = try scenery.create()
        _ = try store.append((1...40).map { event($0) }, at: .now)
        body = try store.makeBatch(first: 1, count: 1000).body
        key = store.key.publicKey
    }

    private var lines: [String] { String(decoding: body, as: UTF8.self).components(separatedBy: "\n") }

    private func verdict(_ lines: [String]) -> AuditVerifier.Verdict {
        AuditVerifier.verify(Array(lines.joined(separator: "\n").utf8), publicKey: key)
    }

    private func isBroken(_ verdict: AuditVerifier.Verdict, _ words: String) -> Bool {
        if case .broken(let reason) = verdict { reason.contains(words) } else { false }
    }

    @Test func `believes an export, from memory and from a file, with and without the key`() throws {
        let intact = AuditVerifier.Verdict.intact(events: 40, origin: "nodeguard/db-1/7", isSigned: true)
        #expect(AuditVerifier.verify(body, publicKey: key) == intact)
        #expect(AuditVerifier.verify(body) == .intact(events: 40, origin: "nodeguard/db-1/7", isSigned: nil))
        let directory = try TemporaryDirectory()
        #expect(try AuditVerifier.verify(file: directory.write(body, to: "export"), publicKey: key) == intact)
    }

    @Test func `believes it with the plane's cosignature behind`() throws {
        let line = try FakeWitness().cosign("anything")
        guard case .intact = AuditVerifier.verify(body + Array(line.utf8), publicKey: key) else {
            return #expect(Bool(false))
        }
    }

    @Test func `finds what is missing, doubled, moved or added`() {
        var changed = lines
        changed.remove(at: 10)
        #expect(isBroken(verdict(changed), "line 11 is not event 11"))
        changed = lines
        changed.insert(changed[10], at: 10)
        #expect(isBroken(verdict(changed), "line 12 is not event 12"))
        changed = lines
        changed.swapAt(3, 4)
        #expect(isBroken(verdict(changed), "line 4 is not event 4"))
        changed = lines
        changed.remove(at: 39)
        #expect(isBroken(verdict(changed), "covers 40 events, the export has 39"))
        changed = lines
        changed.insert(lines[39].replacing("\"seq\":40", with: "\"seq\":41"), at: 40)
        #expect(isBroken(verdict(changed), "covers 40 events, the export has 41"))
    }

    @Test func `finds any changed byte`() {
        for index in stride(from: 0, to: body.count, by: 29) {
            var changed = body
            changed[index] ^= 1
            if case .intact = AuditVerifier.verify(changed, publicKey: key) { #expect(Bool(false), "byte \(index)") }
        }
    }

    @Test func `finds an event that says the same in another form`() {
        var changed = lines
        changed[5] = changed[5].replacing("\"outcome\":\"success\"", with: "\"outcome\": \"success\"")
        #expect(isBroken(verdict(changed), "line 6 is not in canonical form"))
    }

    @Test func `finds a key that is another's, and an export that was cut`() {
        let other = [UInt8](repeating: 9, count: 32)
        #expect(isBroken(AuditVerifier.verify(body, publicKey: other), "not signed by the given key"))
        for count in [0, 1, body.count / 2, body.count - 1] {
            if case .intact = AuditVerifier.verify(Array(body.prefix(count)), publicKey: key) {
                #expect(Bool(false), "\(count) bytes")
            }
        }
    }

    @Test func `does not read without end`() {
        let endless = [UInt8](repeating: 0x61, count: AuditVerifier.lineLimit + 2)
        #expect(isBroken(AuditVerifier.verify(endless), "line 1 is too long"))
        #expect(isBroken(AuditVerifier.verify(body + [UInt8](repeating: 0x61, count: 100_000)), "too long"))
        let nested = [UInt8](repeating: 0x5B, count: 500_000) + [0x0A]
        #expect(isBroken(AuditVerifier.verify(nested), "no JSON object"))
    }
}
