import Crypto
import FoundationEssentials
import NIOSSL
import SwiftASN1
import Synchronization
import X509

/// What the plane shows and trusts in TLS: its own certificate, made from the root (where that is offline, from an
/// intermediate of the plane's own) and renewed before two thirds of its life are over, and the roots and intermediates
/// under which nodes may (not must) show theirs. While two roots are known, the word of the other is beside the
/// certificate, so that a node with either can verify it, in each phase of a rotation and after it. New connections get
/// the newest.
final class ServerCredentials: Sendable {
    static let lifetime: Int64 = 30 * 86_400

    private struct Current {
        let context: NIOSSLContext
        let renewAt: Int64
        let state: AuthorityState
        /// Of all authorities that there were.
        let newest: Int64
    }

    /// What it is made from: something else makes it anew.
    private struct AuthorityState: Equatable {
        let issuer: [UInt8]
        let cross: [UInt8]?
        let verifying: [Int64]

        init(_ inForce: AuthoritiesInForce) {
            issuer = (inForce.planeIssuer ?? inForce.planeRoot)?.der ?? []
            cross = inForce.planeCross
            verifying = inForce.verifying.map(\.id)
        }
    }

    private let state: PlaneState
    private let dns: [String]
    private let addresses: [NetworkAddress]
    private let current: Mutex<Current>

    init(state: PlaneState, dns: [String], addresses: [NetworkAddress], now: Int64) throws {
        self.state = state
        self.dns = dns
        self.addresses = addresses
        let first = try Self.make(state: state, dns: dns, addresses: addresses, now: now)
        current = Mutex(first)
    }

    var context: NIOSSLContext { current.withLock { $0.context } }

    /// Cheap when nothing changed; called every second or so.
    func refresh(now: Int64) throws {
        let found = try state.database.read { AuthorityState(try AuthoritiesInForce($0)) }
        let isFresh = current.withLock { $0.state == found && now < $0.renewAt }
        if isFresh { return }
        let next = try Self.make(state: state, dns: dns, addresses: addresses, now: now)
        current.withLock { $0 = next }
    }

    /// For who is about to be given a certificate, and may come with it at once: its authority may be younger than the
    /// last look.
    func refreshIfGrown(now: Int64) throws {
        let newest = try state.database.read { try Int64.fetchOne($0, sql: "SELECT max(id) FROM authorities") } ?? 0
        if current.withLock({ $0.newest < newest }) { try refresh(now: now) }
    }

    private static func make(
        state: PlaneState, dns: [String], addresses: [NetworkAddress], now: Int64
    ) throws -> Current {
        let key = P256.Signing.PrivateKey()
        let names = SubjectAlternativeNames(
            dns.map { .dnsName($0) }
                + addresses.map { .ipAddress(ASN1OctetString(contentBytes: $0.bytes[...])) })
        let (inForce, authority) = try state.database.read { database in
            let inForce = try AuthoritiesInForce(database)
            return (inForce, try (inForce.planeIssuer ?? inForce.planeRoot)?.load(from: state, database))
        }
        guard let authority else {
            throw PlaneProblem("there is no root", remedy: "restore the state folder from your copy")
        }
        let certificate = try authority.issue(
            CertificateProfile(
                subject: try DistinguishedName { CommonName("nodeguard-plane") },
                publicKey: Certificate.PublicKey(key.publicKey), keyEncipherment: false,
                alternativeNames: try Certificate.Extension(names, critical: false), usages: [.server],
                lifetime: lifetime),
            now: now)
        let trust = try inForce.verifying.map { try NIOSSLCertificate(bytes: $0.der, format: .der) }
        let above = [inForce.planeIssuer?.der, inForce.planeCross].compactMap { $0 }
        let shown = try [certificate.derBytes] + above
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try shown.map { .certificate(try NIOSSLCertificate(bytes: $0, format: .der)) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der)))
        configuration.minimumTLSVersion = .tlsv12
        // A node that joins has none yet; one that is shown must verify, or the handshake fails.
        configuration.certificateVerification = .optionalVerification
        configuration.trustRoots = .certificates(trust)
        configuration.applicationProtocols = ["http/1.1"]
        return Current(
            context: try NIOSSLContext(configuration: configuration), renewAt: now + lifetime * 2 / 3,
            state: AuthorityState(inForce), newest: inForce.records.last?.id ?? 0)
    }
}
