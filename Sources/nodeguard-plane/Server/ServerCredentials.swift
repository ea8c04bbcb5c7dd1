import Crypto
import FoundationEssentials
import NIOSSL
import SwiftASN1
import Synchronization
import X509

/// What the plane shows and trusts in TLS: its own certificate, made from the root and renewed before two thirds of its
/// life are over, and the root and intermediates under which nodes may (not must) show theirs. New connections get the
/// newest.
final class ServerCredentials: Sendable {
    static let lifetime: Int64 = 30 * 86_400

    private struct Current {
        let context: NIOSSLContext
        let renewAt: Int64
        let clusters: [String]
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
        let clusters = try state.database.read { try state.clusterNames($0) }
        let isFresh = current.withLock { $0.clusters == clusters && now < $0.renewAt }
        if isFresh { return }
        let next = try Self.make(state: state, dns: dns, addresses: addresses, now: now)
        current.withLock { $0 = next }
    }

    private static func make(
        state: PlaneState, dns: [String], addresses: [NetworkAddress], now: Int64
    ) throws -> Current {
        let key = P256.Signing.PrivateKey()
        let names = SubjectAlternativeNames(
            dns.map { .dnsName($0) }
                + addresses.map { .ipAddress(ASN1OctetString(contentBytes: $0.bytes[...])) })
        let certificate = try state.root.issue(
            CertificateProfile(
                subject: try DistinguishedName { CommonName("nodeguard-plane") },
                publicKey: Certificate.PublicKey(key.publicKey), keyEncipherment: false,
                alternativeNames: try Certificate.Extension(names, critical: false), usages: [.server],
                lifetime: lifetime),
            now: now)
        let (clusters, intermediates) = try state.database.read {
            (try state.clusterNames($0), try state.intermediates($0))
        }
        let trust = try ([state.root.certificate] + intermediates).map {
            try NIOSSLCertificate(bytes: $0.derBytes, format: .der)
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(try NIOSSLCertificate(bytes: certificate.derBytes, format: .der))],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.derRepresentation), format: .der)))
        configuration.minimumTLSVersion = .tlsv12
        // A node that joins has none yet; one that is shown must verify, or the handshake fails.
        configuration.certificateVerification = .optionalVerification
        configuration.trustRoots = .certificates(trust)
        configuration.applicationProtocols = ["http/1.1"]
        return Current(
            context: try NIOSSLContext(configuration: configuration), renewAt: now + lifetime * 2 / 3,
            clusters: clusters)
    }
}
