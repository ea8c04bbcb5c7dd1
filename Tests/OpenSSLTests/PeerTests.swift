import IO
import OpenSSL
import TestSupport
import Testing

@Suite struct `A server judges the certificate of its peer` {
    /// One row of the table of certificates: who comes, and what the server says.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let kind: TLSFailure.Kind
        let make: @Sendable (TestAuthority) throws -> TLSIdentity?

        init(
            _ description: String, _ kind: TLSFailure.Kind,
            _ make: @escaping @Sendable (TestAuthority) throws -> TestIdentity
        ) {
            self.init(description, kind, identity: { try make($0).tlsIdentity() })
        }

        init(
            _ description: String, _ kind: TLSFailure.Kind,
            identity: @escaping @Sendable (TestAuthority) throws -> TLSIdentity?
        ) {
            testDescription = description
            self.kind = kind
            make = identity
        }
    }

    static let rows: [Row] = [
        Row("no certificate", .noCertificate, identity: { _ in nil }),
        Row("no extended key usage", .wrongPurpose) { try $0.issue(name: "a", usage: []) },
        Row("serverAuth only", .wrongPurpose) { try $0.issue(name: "a", usage: [.server]) },
        Row("anyExtendedKeyUsage only", .wrongPurpose) { try $0.issue(name: "a", usage: [.any]) },
        Row("no digital signature", .wrongPurpose) {
            try $0.issue(name: "a", extensions: ["keyUsage": "critical,keyEncipherment"])
        },
        Row("key agreement, which OpenSSL lets pass", .wrongPurpose) {
            try $0.issue(name: "a", extensions: ["keyUsage": "critical,keyAgreement"])
        },
        Row("an authority's own certificate", .authorityAsLeaf) { $0.intermediate },
        Row("an authority that may also be a client", .authorityAsLeaf) {
            try $0.issue(
                name: "a", isAuthority: true,
                extensions: ["keyUsage": "critical,digitalSignature,keyCertSign"], by: .root)
        },
        Row("expired a minute ago", .expired) { try $0.issue(name: "a", validity: -3600 ... -60) },
        Row("valid from in an hour", .notYetValid) { try $0.issue(name: "a", validity: 3600...7200) },
        Row("a foreign authority", .unknownIssuer) { _ in try TestAuthority(name: "Foreign").client() },
        Row("a foreign authority of the same name", .unknownIssuer) { _ in try TestAuthority().client() },
        Row("signed by itself", .unknownIssuer) { try $0.issue(name: "a", by: .itself) },
        Row(
            "the intermediate is missing", .unknownIssuer,
            identity: {
                let leaf = try $0.client()
                return try TLSIdentity(chain: [try leaf.certificate()], key: try PrivateKey(pemFile: leaf.keyPath))
            }),
        Row("four intermediates", .chainTooLong) { try deep($0, intermediates: 4) },
        Row("a leaf issued by a leaf", .invalidCertificate) {
            try $0.issue(name: "a", by: .identity(try $0.client()))
        },
        Row("beyond the path length of its issuer", .invalidCertificate) {
            let sub = try $0.issue(name: "sub", usage: [], isAuthority: true)
            return try $0.issue(name: "a", by: .identity(sub))
        },
    ]

    /// A client's leaf below `intermediates` authorities below the root.
    static func deep(_ authority: TestAuthority, intermediates: Int) throws -> TestIdentity {
        var issuer = authority.root
        for level in 1...intermediates {
            issuer = try authority.issue(name: "level \(level)", usage: [], isAuthority: true, by: .identity(issuer))
        }
        return try authority.issue(name: "deep", by: .identity(issuer))
    }

    @Test(arguments: rows, TLSVersion.allCases)
    func `and refuses with the right reason`(row: Row, version: TLSVersion) throws {
        let pair = TLSPair(
            try Scenery.serverContext(),
            try TLSContext.client(
                identity: try row.make(try Scenery.authority), trust: Scenery.trust, serverName: "localhost",
                minimum: version, maximum: version))
        let outcomes = pair.shakeHands()
        guard case .failed(let failure) = outcomes.server else {
            Issue.record("\(row.testDescription) was accepted: \(outcomes)")
            return
        }
        #expect(failure.kind == row.kind, "\(failure)")
        #expect(!failure.detail.isEmpty && !failure.detail.hasSuffix("."))
        // The client of TLS 1.3 has finished by then, and learns of it when it reads.
        if outcomes.client == .finished {
            guard case .failed(let told) = pair.client.read(into: .init(capacity: 100)) else {
                Issue.record("the client was not told")
                return
            }
            #expect(told.kind == .peerAlert)
            #expect(told.alert?.isEmpty == false)
        } else {
            guard case .failed(let told) = outcomes.client else {
                Issue.record("the client waits: \(outcomes.client)")
                return
            }
            #expect(told.kind == .peerAlert)
        }
        #expect(pair.server.handshake() == .failed(failure))
    }

    @Test(arguments: rows, TLSVersion.allCases)
    func `and may finish the handshake to say why, but the peer is not verified`(row: Row, version: TLSVersion) throws {
        let pair = TLSPair(
            try Scenery.serverContext(),
            try TLSContext.client(
                identity: try row.make(try Scenery.authority), trust: Scenery.trust, serverName: "localhost",
                minimum: version, maximum: version), explainsRefusal: true)
        let outcomes = pair.shakeHands()
        guard case .finishedUnverified(let failure) = outcomes.server, outcomes.client == .finished else {
            Issue.record("\(row.testDescription): \(outcomes)")
            return
        }
        #expect(failure.kind == row.kind, "\(failure)")
        #expect(!pair.server.isPeerVerified && pair.server.isHandshakeFinished)
        #expect(pair.server.handshake() == .finishedUnverified(failure), "never finished otherwise")
        let plain = LaneBuffer(Array("why".utf8))
        #expect(pair.server.write(from: plain) == .bytes(3))
        let heard = LaneBuffer(capacity: 100)
        #expect(pair.client.read(into: heard) == .bytes(3))
    }

    @Test(arguments: TLSVersion.allCases)
    func `and takes a good one for verified where it would explain a bad one`(version: TLSVersion) throws {
        let pair = TLSPair(
            try Scenery.serverContext(),
            try TLSContext.client(
                identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: "localhost",
                minimum: version, maximum: version), explainsRefusal: true)
        #expect(pair.shakeHands() == (.finished, .finished))
        #expect(pair.server.isPeerVerified)
    }

    @Test(arguments: TLSVersion.allCases)
    func `and accepts a good one, whose names can then be read`(version: TLSVersion) throws {
        let pair = try TLSPair.established(version: version)
        #expect(pair.server.version == version.rawValue)
        #expect(pair.server.peerCertificate?.commonNames == ["alice"])
        #expect(pair.server.peerChain.map(\.subject).count == 3)
        #expect(pair.server.peerChain.last?.isSelfSigned == true)
        #expect(pair.server.verifyError == nil)
        #expect(pair.client.peerCertificate?.commonNames == ["localhost"])
        #expect(!pair.server.cipher.isEmpty && pair.server.cipher == pair.client.cipher)
    }

    @Test func `and accepts three intermediates`() throws {
        let pair = try TLSPair(client: try Self.deep(try Scenery.authority, intermediates: 3))
        #expect(pair.shakeHands() == (.finished, .finished))
        #expect(pair.server.peerChain.count == 5)
    }

    @Test(arguments: [TestCertificate.Key.ecP256, .ecP384, .rsa2048, .ed25519])
    func `and accepts each kind of key`(key: TestCertificate.Key) throws {
        for version in TLSVersion.allCases {
            let pair = try TLSPair(client: try Scenery.authority.issue(name: "a", key: key), version: version)
            #expect(pair.shakeHands() == (.finished, .finished))
        }
    }
}

@Suite struct `A client judges the server` {
    @Test func `by its name`() throws {
        for name in ["localhost", "127.0.0.1", "::1"] {
            let context = try TLSContext.client(
                identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: name)
            let pair = TLSPair(try Scenery.serverContext(), context)
            #expect(pair.shakeHands() == (.finished, .finished), "\(name)")
            #expect(pair.server.serverName == (name == "localhost" ? "localhost" : nil))
        }
        for name in ["elsewhere", "127.0.0.2", "localhost.example"] {
            let context = try TLSContext.client(identity: nil, trust: Scenery.trust, serverName: name)
            guard case .failed(let failure) = TLSPair(try Scenery.serverContext(), context).shakeHands().client else {
                Issue.record("\(name) was accepted")
                continue
            }
            #expect(failure.kind == .wrongName)
        }
    }

    @Test func `by its authority`() throws {
        let context = try TLSContext.client(
            identity: nil, trust: try TestAuthority(name: "Other").trust(), serverName: "localhost")
        let outcomes = TLSPair(try Scenery.serverContext(), context).shakeHands()
        guard case .failed(let mine) = outcomes.client, case .failed(let theirs) = outcomes.server else {
            Issue.record("accepted: \(outcomes)")
            return
        }
        #expect(mine.kind == .unknownIssuer)
        #expect(theirs.kind == .peerAlert)
        #expect(theirs.alert == "unknown CA")
    }
}
