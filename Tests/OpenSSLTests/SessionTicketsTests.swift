import Glibc
import Synchronization
import TestSupport
import Testing

@testable import OpenSSL

/// A clock that a test moves.
private final class MovedClock: Sendable {
    private let time = Mutex(Duration.zero)
    var now: Duration { time.withLock { $0 } }
    func advance(minutes: Int) { time.withLock { $0 += .seconds(60 * minutes) } }
}

/// `openssl s_client` keeps sessions in files, and shows them again.
@Suite(.serialized) struct `A session ticket` {
    private let folder: TemporaryDirectory
    private let clock = MovedClock()
    private let keys: TicketKeys
    private let context: TLSContext
    private static let mark = SessionMark(context: Digest.sha256(Array("one".utf8)), epoch: 1)
    private static let versions = ["-tls1_2", "-tls1_3"]

    init() throws {
        folder = try TemporaryDirectory(prefix: "tickets")
        keys = TicketKeys { [clock] in clock.now }
        context = try Self.context(keys)
    }

    private static func context(_ keys: TicketKeys) throws -> TLSContext {
        try TLSContext.server(
            identity: try Scenery.server.tlsIdentity(), trust: Scenery.trust, algorithms: .trimmed, ticketKeys: keys)
    }

    /// `shows`, `keeps`: names of session files.
    private func visit(
        _ version: String, shows: String? = nil, keeps: String? = nil, to other: TLSContext? = nil,
        mark: SessionMark? = mark, as identity: TestIdentity? = nil, explains: Bool = false
    ) async throws -> ServedConnection {
        let client = try identity ?? Scenery.client
        var options = [
            version, "-servername", "localhost", "-cert", client.certificatePath, "-key", client.keyPath,
            "-cert_chain", client.chainPath,
        ]
        if let shows { options += ["-sess_in", folder.file(shows)] }
        if let keeps { options += ["-sess_out", folder.file(keeps)] }
        return try await ServedConnection.serve(
            other ?? context, mark: mark, explainsRefusal: explains, options: options)
    }

    private func expect(
        _ outcome: TicketOutcome, _ served: ServedConnection, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(served.handshake == .finished, sourceLocation: sourceLocation)
        #expect(served.ticket == outcome, "\(served.client)", sourceLocation: sourceLocation)
        #expect(
            served.client.output.contains(outcome == .resumed ? "Reused, TLSv1" : "New, TLSv1"), "\(served.client)",
            sourceLocation: sourceLocation)
    }

    @Test(arguments: versions)
    func `resumes with the client's whole chain, and without early data`(version: String) async throws {
        let first = try await visit(version, keeps: "first")
        expect(.none, first)
        let second = try await visit(version, shows: "first", keeps: "second")
        expect(.resumed, second)
        #expect(second.chain.count == 3 && second.chain == first.chain)
        #expect(second.peer?.commonNames == ["alice"])
        if version == "-tls1_3" {
            #expect(second.client.output.contains("Max Early Data: 0"), "\(second.client)")
            // There is a new one for each connection.
            expect(.resumed, try await visit(version, shows: "second"))
        }
    }

    @Test(arguments: versions)
    func `opens for an hour after the one in which it was sealed, and is renewed then`(version: String) async throws {
        let first = try await visit(version, keeps: "first")
        clock.advance(minutes: 59)
        let early = try await visit(version, shows: "first")
        expect(.resumed, early)
        #expect(Self.keyName(early) == Self.keyName(first) && Self.keyName(first) != nil)
        clock.advance(minutes: 2)
        let late = try await visit(version, shows: "first", keeps: "renewed")
        expect(.resumed, late)
        #expect(Self.keyName(late) != Self.keyName(first) && Self.keyName(late) != nil)
        clock.advance(minutes: 58)
        expect(.resumed, try await visit(version, shows: "first"))
        clock.advance(minutes: 2)
        expect(.declined, try await visit(version, shows: "first"))
        // The program does not keep a TLS 1.2 ticket that comes in place of another.
        guard version == "-tls1_3" else { return }
        expect(.resumed, try await visit(version, shows: "renewed"))
        clock.advance(minutes: 120)
        expect(.declined, try await visit(version, shows: "renewed"))
    }

    /// The first line of the ticket that a client has last: what is said in clear before what is sealed.
    private static func keyName(_ served: ServedConnection) -> Substring? {
        let output = served.client.output
        return output.ranges(of: "TLS session ticket:\n").last.map { output[$0.upperBound...].prefix { $0 != "\n" } }
    }

    @Test(arguments: versions)
    func `is of no use under another mark, other keys or another context`(version: String) async throws {
        _ = try await visit(version, keeps: "first")
        expect(.resumed, try await visit(version, shows: "first"))
        let others = [
            SessionMark(context: Self.mark.context, epoch: 2),
            SessionMark(context: Digest.sha256(Array("two".utf8)), epoch: 1),
        ]
        for other in others { expect(.declined, try await visit(version, shows: "first", mark: other)) }
        expect(.declined, try await visit(version, shows: "first", to: try Self.context(TicketKeys())))
        // The chain that was verified is not known there.
        expect(.declined, try await visit(version, shows: "first", to: try Self.context(keys)))
        expect(.resumed, try await visit(version, shows: "first"))
    }

    @Test(arguments: versions)
    func `is neither given nor taken without a mark`(version: String) async throws {
        _ = try await visit(version, keeps: "first")
        expect(.resumed, try await visit(version, shows: "first"))
        let served = try await visit(version, shows: "first", mark: nil)
        expect(.none, served)
        #expect(!served.client.output.contains("TLS session ticket:"), "\(served.client)")
    }

    @Test(arguments: versions)
    func `lives no longer than an hour, nor than the client's certificate`(version: String) async throws {
        let hint = "ticket lifetime hint: "
        func seconds(_ served: ServedConnection) -> Int? {
            served.client.output.ranges(of: hint).last.flatMap { range in
                Int(served.client.output[range.upperBound...].prefix { $0.isNumber })
            }
        }
        let usual = try await visit(version, keeps: "usual")
        #expect(seconds(usual).map { (3500...3600).contains($0) } == true, "\(usual.client)")
        let short = try Scenery.authority.issue(name: "short", validity: -60...600)
        let brief = try await visit(version, keeps: "brief", as: short)
        #expect(seconds(brief).map { (1...600).contains($0) } == true, "\(brief.client)")
        expect(.resumed, try await visit(version, shows: "brief", as: short))
    }

    @Test(arguments: versions)
    func `is not given to a client that is only to hear why it is refused`(version: String) async throws {
        let stranger = try TestAuthority(name: "Foreign").client()
        let served = try await visit(version, as: stranger, explains: true)
        guard case .finishedUnverified = served.handshake else {
            Issue.record("\(served.handshake)")
            return
        }
        #expect(!served.client.output.contains("TLS session ticket:"), "\(served.client)")
        let known = try await visit(version, explains: true)
        #expect(known.client.output.contains("TLS session ticket:"), "\(known.client)")
    }

    @Test(arguments: versions)
    func `cannot be forged or spoiled`(version: String) async throws {
        _ = try await visit(version, keeps: "first")
        try Subprocess.check(
            "openssl", ["sess_id", "-in", folder.file("first"), "-outform", "DER", "-out", folder.file("der")])
        let der = try folder.read("der")
        // SSL_SESSION_ASN1: ticket [10] EXPLICIT OCTET STRING, longer than 255 bytes.
        let ticket = try #require(
            der.indices.dropLast(8).first {
                der[$0] == 0xAA && der[$0 + 1] == 0x82 && der[$0 + 4...$0 + 5] == [4, 0x82]
            })
        // A byte of the key's name, of the IV and of what is sealed.
        for offset in [0, 16, 40] {
            var spoiled = der
            spoiled[ticket + 8 + offset] ^= 1
            try folder.write(spoiled, to: "spoiled.der")
            try Subprocess.check(
                "openssl",
                ["sess_id", "-inform", "DER", "-in", folder.file("spoiled.der"), "-out", folder.file("spoiled")])
            expect(.declined, try await visit(version, shows: "spoiled"))
        }
        expect(.resumed, try await visit(version, shows: "first"))
    }

    @Test func `says what it says, and nothing else`() {
        let claims = TicketClaims(
            epoch: .max - 1, chain: Digest.sha256([1]), leaf: Digest.sha256([2]), provenAt: -5)
        #expect(TicketClaims(claims.bytes) == claims)
        #expect(TicketClaims(claims.bytes.dropLast()) == nil && TicketClaims(claims.bytes + [0]) == nil)
        #expect(TicketClaims([]) == nil)
    }

    @Test func `is no hindrance to the test of a context`() throws {
        try TLSContext.selfTest(context, trust: Scenery.trust)
    }
}
