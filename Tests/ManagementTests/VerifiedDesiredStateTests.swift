import Foundation
import OpenSSL
import PlaneAPI
import TestSupport
import Testing

@testable import Management

@Suite struct `A signed desired state` {
    typealias Signed = SignedStates

    /// The example of DSSE's protocol.md.
    @Test func `is signed over DSSE's encoding`() {
        let bytes = VerifiedDesiredState.authenticated(
            type: "http://example.com/HelloWorld", payload: Array("hello world".utf8))
        #expect(String(decoding: bytes, as: UTF8.self) == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
        #expect(
            String(decoding: VerifiedDesiredState.authenticated(type: "é", payload: []), as: UTF8.self)
                == "DSSEv1 2 é 0 ")
    }

    @Test func `is taken from the cluster's configuration key`() throws {
        let envelope = try Signed.signed()
        let verified = try Signed.verify(envelope)
        #expect(verified.state == Signed.state() && verified.envelope == envelope)
        #expect(verified.hash == Hexadecimal.text(Digest.sha256(envelope)))
        #expect(try Signed.key.get().certificate().notBefore == verified.keyMadeAt)
    }

    /// One bit of every byte: whatever was changed, nothing else than the same state is ever read.
    @Test func `is refused with any bit of it changed`() throws {
        let envelope = try Signed.signed()
        for index in envelope.indices {
            var changed = envelope
            changed[index] ^= UInt8(1 << (index % 8))
            guard let taken = try? Signed.verify(changed) else { continue }
            // The hint beside the signature is no part of what is believed.
            #expect(taken.state == Signed.state(), "byte \(index)")
            let keyID = try #require(envelope.firstRange(of: Array("sha256:x".utf8)))
            #expect(keyID.contains(index), "byte \(index)")
        }
    }

    @Test func `is refused with any part of another`() throws {
        let (one, other) = (
            try Signed.envelope(try Signed.state(7).payload, by: try Signed.key.get()),
            try Signed.envelope(try Signed.state(8).payload, by: try Signed.make(organization: "alpha"))
        )
        func mixed(
            type: String = DesiredState.payloadType, payload: [UInt8]? = nil, signature: [UInt8]? = nil,
            certificate: [UInt8]? = nil
        ) throws -> [UInt8] {
            try SignedEnvelope(
                payloadType: type, payload: payload ?? one.payload, signature: signature ?? one.signature,
                certificate: certificate ?? one.certificate, keyID: "x"
            ).text
        }
        let cases: [([UInt8], DesiredRefusal.Reason?)] = [
            (try mixed(), nil), (try mixed(payload: other.payload), .signature),
            (try mixed(signature: other.signature), .signature),
            (try mixed(certificate: other.certificate), .signature),
            (try mixed(type: "text/plain"), .malformedEnvelope), (try mixed(signature: []), .malformedEnvelope),
            (try mixed(signature: [0x30, 0x00]), .signature), (try mixed(certificate: [1, 2]), .malformedEnvelope),
        ]
        for (index, (envelope, reason)) in cases.enumerated() {
            #expect(try Signed.reason { try Signed.verify(envelope) } == reason, "case \(index)")
        }
    }

    @Test func `is refused from any key that no root has delegated this cluster's to`() throws {
        let authority = try Signed.authority.get()
        let cases: [(TestIdentity, DesiredRefusal.Reason)] = [
            (try Signed.make(organization: "beta"), .keyOfAnotherCluster),
            (try Signed.make(organization: nil), .keyOfAnotherCluster),
            (try Signed.make(organization: "alpha", usage: "clientAuth"), .keyNotDelegated),
            (try Signed.make(organization: "alpha", usage: "serverAuth,\(DesiredState.keyUsage)"), .keyNotDelegated),
            (try Signed.make(organization: "alpha", usage: "2.25.1"), .keyNotDelegated),
            (try Signed.make(organization: "alpha", by: .intermediate), .keyNotDelegated),
            (try Signed.make(organization: "alpha", by: .itself), .keyNotDelegated),
            (try Signed.make(organization: "alpha", validity: -7200 ... -3600), .keyNotDelegated),
            (try Signed.make(organization: "alpha", isAuthority: true), .keyNotDelegated),
            (try Signed.make(organization: "alpha", key: .ecP384), .signature),
            (try Signed.make(organization: "alpha", key: .rsa2048), .signature),
            (authority.root, .keyNotDelegated), (authority.intermediate, .keyNotDelegated),
        ]
        for (index, (identity, reason)) in cases.enumerated() {
            let envelope = try Signed.signed(by: identity)
            let found = try Signed.reason { try Signed.verify(envelope) }
            #expect(found == reason, "case \(index): \(found.map { "\($0)" } ?? "taken")")
        }
    }

    @Test func `is refused under another root, and without any`() throws {
        let envelope = try Signed.signed()
        let other = try TestAuthority(name: "Other").root.certificate()
        #expect(try Signed.reason { try Signed.verify(envelope, roots: [other]) } == .keyNotDelegated)
        #expect(try Signed.reason { try Signed.verify(envelope, roots: []) } == .keyNotDelegated)
        let intermediate = try Signed.authority.get().intermediate.certificate()
        #expect(try Signed.reason { try Signed.verify(envelope, roots: [intermediate]) } == .keyNotDelegated)
    }

    @Test func `is for one cluster, one node and one age of agents`() throws {
        let cases: [((inout DesiredState) -> Void, DesiredRefusal.Reason?)] = [
            ({ $0.cluster = "beta" }, .otherCluster), ({ $0.node = "db-1" }, nil), ({ $0.node = "db-2" }, .otherNode),
            ({ $0.except = ["db-2"] }, nil), ({ $0.except = ["db-2", "db-1"] }, .otherNode),
            ({ $0.content.minAgent = "1.2.3" }, nil), ({ $0.content.minAgent = "1.2.2" }, nil),
            ({ $0.content.minAgent = "1.2.4" }, .agentTooOld), ({ $0.content.minAgent = "1.10.0" }, .agentTooOld),
        ]
        for (index, (change, reason)) in cases.enumerated() {
            let envelope = try Signed.signed(Signed.state(7, change))
            #expect(try Signed.reason { try Signed.verify(envelope) } == reason, "case \(index)")
        }
    }

    @Test func `may hold nothing that is not known, in a form that is not strict`() throws {
        let good = String(decoding: try Signed.state().payload, as: UTF8.self)
        let texts = [
            "", "null", "[]", "{}", good + " x", good.replacing(#""schema":1"#, with: #""schema":2"#),
            good.replacing("{\"cluster\"", with: "{\"extra\":1,\"cluster\""),
            good.replacing("\"version\":7", with: "\"version\":7,\"version\":8"),
            good.replacing("\"version\":7", with: "\"version\":7.0"),
            good.replacing("\"version\":7", with: "\"version\":0"),
            good.replacing(#""uri":"#, with: #""url":"#),
        ]
        for text in texts {
            let envelope = try Signed.envelope(Array(text.utf8), by: try Signed.key.get()).text
            let reason = try Signed.reason { try Signed.verify(envelope) }
            #expect(reason == .malformedPayload || (text.isEmpty && reason == .malformedEnvelope), "\(text)")
        }
        let envelope = try Signed.envelope(Array(#"{"cluster":"alpha", "odd":1}"#.utf8), by: try Signed.key.get()).text
        #expect(throws: DesiredRefusal(.malformedPayload, "line 1, column 1: 'schema' is missing")) {
            try Signed.verify(envelope)
        }
    }

    @Test func `may not be huge`() throws {
        let huge = [UInt8](repeating: UInt8(ascii: " "), count: DesiredState.sizeLimit + 1)
        #expect(try Signed.reason { try Signed.verify(huge) } == .malformedEnvelope)
    }

    @Test func `is verified again when its key has expired, and only then`() throws {
        let old = try Signed.make(organization: "alpha", validity: -2 ... -1)
        let envelope = try Signed.signed(by: old)
        #expect(try Signed.reason { try Signed.verify(envelope, at: nil) } == nil)
        #expect(try Signed.reason { try Signed.verify(envelope) } == .keyNotDelegated)
    }

    @Test func `is found again at a start, or nobody knows whom it denied`() throws {
        let folder = try TemporaryDirectory(prefix: "desired")
        let load = { try StoredDesiredState.load(stateDirectory: folder.path, for: Signed.reader, roots: Signed.roots) }
        guard case .none = try load() else { return #expect(Bool(false), "something out of nothing") }
        let store = DesiredStateStore(stateDirectory: folder.path)
        try store.save(try Signed.signed())
        guard case .verified(let state) = try load() else { return #expect(Bool(false), "not found") }
        #expect(state.state == Signed.state())
        try store.save(Array("damaged".utf8))
        guard case .unusable(let refusal) = try load() else { return #expect(Bool(false), "damage is taken") }
        #expect(refusal.reason == .storedUnusable && refusal.detail.contains("malformed-envelope"))
        try store.save(try Signed.signed(by: try Signed.make(organization: "beta")))
        guard case .unusable = try load() else { return #expect(Bool(false), "another cluster's is taken") }
    }
}
