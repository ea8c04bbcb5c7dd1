import IO
import OpenSSL
import TestSupport
import Testing

@Suite(.serialized) struct `openssl s_client` {
    private func credentials(_ identity: TestIdentity) -> [String] {
        ["-cert", identity.certificatePath, "-key", identity.keyPath, "-cert_chain", identity.chainPath]
    }

    @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
    func `is served, verifies the server, and gets no session`(option: String, version: String) async throws {
        let served = try await ServedConnection.serve(
            try Scenery.serverContext(),
            options: [option, "-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost"]
                + credentials(try Scenery.client))
        #expect(served.handshake == .finished)
        #expect(served.version == version)
        #expect(served.peer?.commonNames == ["alice"])
        #expect(served.received == Array("hello\n".utf8))
        #expect(served.client.output.contains("ANSWER"))
        #expect(served.client.output.contains("Verification: OK"))
        #expect(served.client.output.contains("Test Root"))
        #expect(!served.client.output.contains("Post-Handshake New Session Ticket"))
        #expect(!served.client.output.contains("TLS session ticket:"))
    }

    @Test(arguments: [
        ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"],
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1_3", "-groups", "X448"],
        ["-tls1_3", "-groups", "P-521"],
        ["-tls1_3", "-groups", "ffdhe2048"],
        ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"],
    ])
    func `finds nothing old or odd`(options: [String]) async throws {
        let served = try await ServedConnection.serve(
            try Scenery.serverContext(), options: options + credentials(try Scenery.client))
        guard case .failed(let failure) = served.handshake else {
            Issue.record("accepted: \(served.client)")
            return
        }
        #expect(failure.kind == .protocolMismatch, "\(failure)")
    }

    @Test(arguments: [
        ("DER:30058203610062", TLSFailure.Kind.invalidCertificate),
        ("DER:3003820120", .invalidCertificate),
        // Not even DER: OpenSSL would say that it finds no issuer.
        ("DER:30068704010203", .invalidCertificate),
        ("DER:300787050102030405", .invalidCertificate),
    ])
    func `with a name that could be read in two ways is refused`(names: String, kind: TLSFailure.Kind) async throws {
        let spoiled = try Scenery.authority.issue(
            name: "alice", extensions: ["subjectAltName": names])
        let served = try await ServedConnection.serve(
            try Scenery.serverContext(), options: credentials(spoiled))
        guard case .failed(let failure) = served.handshake else {
            Issue.record("accepted: \(served.client)")
            return
        }
        #expect(failure.kind == kind, "\(failure)")
    }

    @Test func `with a key that is too small is refused`() async throws {
        let weak = try Scenery.authority.issue(name: "weak", key: .rsa1024)
        let served = try await ServedConnection.serve(
            try Scenery.serverContext(), options: ["-cipher", "DEFAULT:@SECLEVEL=0"] + credentials(weak))
        guard case .failed(let failure) = served.handshake else {
            Issue.record("accepted: \(served.client)")
            return
        }
        #expect(failure.kind == .weakCertificate, "\(failure)")
    }

    @Test func `that sends more than 32 KiB of certificates is refused`() async throws {
        let folder = try temporaryDirectory()
        let client = try Scenery.client
        let intermediate = String(decoding: try Scenery.authority.intermediate.certificatePEM, as: UTF8.self)
        let chain =
            String(decoding: try client.certificatePEM, as: UTF8.self)
            + String(repeating: intermediate, count: 80)
        let path = try folder.write(chain, to: "chain.pem")
        let served = try await ServedConnection.serve(
            try Scenery.serverContext(),
            options: ["-cert", client.certificatePath, "-key", client.keyPath, "-cert_chain", path])
        guard case .failed(let failure) = served.handshake else {
            Issue.record("accepted")
            return
        }
        #expect(failure.kind == .other, "\(failure)")
    }

    @Test func `cannot renegotiate`() async throws {
        // A line "R" makes s_client renegotiate.
        let served = try await ServedConnection.serve(
            try Scenery.serverContext(), options: ["-tls1_2"] + credentials(try Scenery.client), input: "R\n")
        #expect(served.client.output.contains("RENEGOTIATING") || served.client.errors.contains("RENEGOTIATING"))
        #expect(served.client.errors.contains("no renegotiation"))
        #expect(served.received.isEmpty)
    }

    /// Clients choose by these names which certificate they send, and some send none when its issuer is missing.
    @Test func `is told whom the server trusts, and who issued these`() async throws {
        let authority = try Scenery.authority
        let pinned = try TrustAnchors([try authority.intermediate.certificate()], pinsIntermediates: true)
        let context = try TLSContext.server(identity: try authority.server().tlsIdentity(), trust: pinned)
        let served = try await ServedConnection.serve(context, options: credentials(try Scenery.client))
        #expect(served.handshake == .finished)
        let names = served.client.output.split(separator: "Acceptable client certificate CA names\n").last ?? ""
        #expect(names.split(separator: "\n").prefix { $0.contains("CN = ") }.count == 2, "\(names)")
        #expect(names.prefix(200).contains("Test Root"), "\(names)")
    }
}
