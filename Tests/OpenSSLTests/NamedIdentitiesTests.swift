import IO
import TestSupport
import Testing

@testable import OpenSSL

/// A server with several certificates.
@Suite struct `A server's choice of certificate` {
    private struct Made: Sendable {
        let identities: [TLSIdentity]
        let stranger: TestIdentity
    }

    private static let made = Result {
        let authority = try Scenery.authority
        let first = try authority.server()
        let second = try authority.issue(
            name: "two", dnsNames: ["two.example", "*.pool.example", "localhost"], usage: [.server, .client],
            key: .rsa2048)
        let third = try authority.issue(
            name: "three", dnsNames: ["Three.Example", "named.pool.example", "*.two.example", "f*.example", "*"],
            usage: [.server, .client])
        return Made(
            identities: try [first, second, third].map { try $0.tlsIdentity() },
            stranger: try TestAuthority(name: "Foreign").client())
    }

    private static func context(refusesUnknownNames: Bool = false) throws -> TLSContext {
        let identities = try made.get().identities
        return try TLSContext.server(
            identity: identities[0], others: Array(identities.dropFirst()), refusesUnknownNames: refusesUnknownNames,
            trust: Scenery.trust)
    }

    /// A client that asks for a name and looks at nothing.
    private static func pair(
        _ server: TLSContext, asking name: String?, as client: TestIdentity?, _ version: TLSVersion
    ) throws -> TLSPair {
        TLSPair(
            server,
            try TLSContext.client(
                identity: try client?.tlsIdentity(), trust: nil, serverName: name, minimum: version, maximum: version))
    }

    static let choices: [(name: String?, index: Int?)] = [
        (nil, nil), ("localhost", 0), ("two.example", 1), ("TWO.example", 1), ("a.pool.example", 1),
        ("named.pool.example", 2), ("three.example", 2), ("x.two.example", 2), ("a.b.pool.example", nil),
        ("pool.example", nil), (".pool.example", nil), ("foo.example", nil), ("f*.example", nil), ("*", nil),
        ("*.pool.example", 1), ("localhost.", nil), ("two", nil), ("three", nil), ("com", nil),
        (String(repeating: "a", count: 250), nil),
    ]

    @Test(arguments: TLSVersion.allCases)
    func `goes by the name that the client asks for, whatever kind of key it has`(_ version: TLSVersion) throws {
        let server = try Self.context()
        let leaves = try Self.made.get().identities.map(\.leaf)
        for (name, index) in Self.choices {
            let pair = try Self.pair(server, asking: name, as: Scenery.client, version)
            #expect(pair.shakeHands() == (.finished, .finished), "\(name ?? "none")")
            #expect(pair.client.peerCertificate == leaves[index ?? 0], "\(name ?? "none")")
            #expect(pair.server.ownCertificate == leaves[index ?? 0])
            #expect(pair.server.isPeerVerified && pair.server.serverName == name)
            // With what is above it, so that a client can verify it.
            let trusting = try TLSContext.client(
                identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: nil, minimum: version,
                maximum: version)
            #expect(TLSPair(server, trusting).shakeHands() == (.finished, .finished))
        }
    }

    @Test(arguments: TLSVersion.allCases)
    func `is verified by a client that asks for the name`(_ version: TLSVersion) throws {
        let server = try Self.context()
        for name in ["localhost", "two.example", "a.pool.example", "three.example"] {
            let client = try TLSContext.client(
                identity: try Scenery.client.tlsIdentity(), trust: Scenery.trust, serverName: name, minimum: version,
                maximum: version)
            #expect(TLSPair(server, client).shakeHands() == (.finished, .finished), "\(name)")
        }
    }

    @Test(arguments: TLSVersion.allCases)
    func `refuses unknown names by their alert, where it is to be strict`(_ version: TLSVersion) throws {
        let server = try Self.context(refusesUnknownNames: true)
        for (name, index) in Self.choices {
            let pair = try Self.pair(server, asking: name, as: Scenery.client, version)
            let outcomes = pair.shakeHands()
            guard index == nil else {
                #expect(outcomes == (.finished, .finished))
                continue
            }
            guard case .failed(let failure) = outcomes.server, case .failed(let heard) = outcomes.client else {
                Issue.record("\(name ?? "none") was served")
                continue
            }
            #expect(failure.kind == .unknownServerName && failure.detail.contains(name ?? "no name"))
            #expect(heard.alert == "unrecognized name")
        }
        let single = try TLSContext.server(
            identity: try Self.made.get().identities[1], refusesUnknownNames: true, trust: Scenery.trust)
        #expect(
            try Self.pair(single, asking: "two.example", as: Scenery.client, version).shakeHands().server == .finished)
        #expect(
            try Self.pair(single, asking: "three.example", as: Scenery.client, version).shakeHands().server != .finished
        )
    }

    @Test(arguments: TLSVersion.allCases)
    func `loosens nothing: no name brings a client in without a good certificate`(_ version: TLSVersion) throws {
        let stranger = try Self.made.get().stranger
        let expired = try Scenery.authority.issue(name: "late", validity: -7200 ... -3600)
        let wrong = try Scenery.authority.issue(name: "server", dnsNames: ["two.example"], usage: [.server])
        let clients: [(TestIdentity?, TLSFailure.Kind)] = [
            (nil, .noCertificate), (stranger, .unknownIssuer), (expired, .expired), (wrong, .wrongPurpose),
        ]
        for isStrict in [false, true] {
            let server = try Self.context(refusesUnknownNames: isStrict)
            for (name, index) in Self.choices {
                for (client, kind) in clients {
                    let pair = try Self.pair(server, asking: name, as: client, version)
                    guard case .failed(let failure) = pair.shakeHands().server else {
                        Issue.record("\(kind) came in by \(name ?? "no name")")
                        continue
                    }
                    #expect(failure.kind == (isStrict && index == nil ? .unknownServerName : kind))
                    #expect(!pair.server.isPeerVerified && pair.server.facts == nil)
                }
            }
        }
    }

    @Test func `says which names are whose`() throws {
        #expect(
            try Self.context().shown.map(\.names) == [
                ["localhost"], ["two.example", "*.pool.example"],
                ["named.pool.example", "three.example", "*.two.example"],
            ])
    }

    @Test func `passes the test of each name`() throws {
        let server = try Self.context(refusesUnknownNames: true)
        for name in [nil, "two.example", "www.pool.example", "three.example"] {
            try TLSContext.selfTest(server, trust: Scenery.trust, serverName: name)
        }
        #expect(throws: OpenSSLError.self) {
            try TLSContext.selfTest(server, trust: Scenery.trust, serverName: "four.example")
        }
    }
}

extension TLSSession {
    fileprivate var facts: [Certificate]? { isPeerVerified ? peerChain : nil }
}
