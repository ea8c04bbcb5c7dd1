import NIOCore
import NIOSSL
import SwiftASN1
import X509

/// The node at the other end of a connection, as the register knows it: its certificate is one we issued as a node
/// identity, in time and not revoked, checked anew on every call.
struct NodeIdentity: Sendable {
    let cluster: String
    let node: String
    let serial: String
    let certificate: Certificate
    /// What it is told with each answer.
    let trustRevision: String

    /// Among all nodes of this plane.
    var place: String { "\(cluster)/\(node)" }

    var actor: PlaneEvent.Actor { .node(serial: serial) }

    static let replaced = "replaced"

    static let unknown = Refusal.denied(
        "identity-unknown", "this client certificate is not in the plane's register")

    /// nil if the connection has no client certificate.
    static func read(from channel: any Channel) async throws -> [UInt8]? {
        try await channel.nioSSL_peerCertificate().get()?.toDERBytes()
    }

    static func find(der: [UInt8], now: Int64, _ database: Database) throws -> NodeIdentity {
        guard let found = try IssuedCertificates.find(der: der, database) else {
            throw unknown
        }
        if let revokedAt = found.revokedAt,
            let at = try Replacement.time(found.holder, revokedAt: revokedAt, database)
        {
            throw Refusal.denied(
                replaced, "another machine is \(found.holder.name) since \(UnixTime.text(at)); this one is not any more"
            )
        }
        guard found.revokedAt == nil else {
            throw Refusal.denied("revoked", "the certificate \(found.serial) is revoked; join again with a new bundle")
        }
        guard found.holder.kind == .node else {
            throw Refusal.denied(
                "not-a-node-identity",
                "this certificate is for \(found.holder.kind.rawValue) use; the plane talks to nodes")
        }
        guard now < found.notAfter else {
            throw Refusal.denied(
                "expired", "the certificate \(found.serial) expired at \(UnixTime.text(found.notAfter))")
        }
        return NodeIdentity(
            cluster: found.holder.cluster, node: found.holder.name, serial: found.serial,
            certificate: try Certificate(derEncoded: der),
            trustRevision: try TrustRevision.current(of: found.holder.cluster, database))
    }

    /// In the transaction that gives it something: the call may have begun long before its body was whole, and the
    /// certificate was revoked, or its node removed or replaced, in between.
    func requireStanding(now: Int64, _ database: Database) throws {
        _ = try Self.find(der: certificate.derBytes, now: now, database)
    }

    func require(cluster label: String) throws(Refusal) {
        guard cluster == label else {
            throw .denied("cluster-not-allowed", "\(node) belongs to another cluster than this label's")
        }
    }
}
