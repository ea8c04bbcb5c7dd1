import OpenSSL
import PlaneAPI
import Synchronization

/// What is in service for each role and who is trusted, as the other jobs have it. Safe from any thread.
package final class ObservedNode: Sendable {
    private struct Contents {
        var identities: [String: TLSIdentity] = [:]
        var trust: TrustAnchors?
    }

    private let contents = Mutex(Contents())

    package init() {}

    /// That of the node's own identity.
    package static let ownRole = "node"

    package func took(_ identity: TLSIdentity, ofRole role: String) {
        contents.withLock { $0.identities[role] = identity }
    }

    /// Under whom the plane is verified.
    package func took(_ trust: TrustAnchors) { contents.withLock { $0.trust = trust } }

    var planeTrust: ObservedState.Trust? {
        contents.withLock { $0.trust }.map { ObservedState.Trust(of: $0.certificates) }
    }

    /// In the order of the roles' names.
    var certificates: [ObservedState.Certificate] {
        let (identities, trust) = contents.withLock { ($0.identities, $0.trust) }
        return identities.sorted { $0.key < $1.key }.map { role, identity in
            ObservedState.Certificate(role: role, identity, among: trust?.certificates ?? [])
        }
    }

    /// Whom this node trusts; none before it has joined.
    var authorities: [Certificate] { contents.withLock { $0.trust }?.certificates ?? [] }

    var identitySerial: String? { serial(ofRole: Self.ownRole) }

    /// The serial number of the certificate that is in service for a role.
    func serial(ofRole role: String) -> String? { contents.withLock { $0.identities[role]?.leaf.serial } }
}

extension ObservedState.Trust {
    /// `anchors`: in any order.
    package init(of anchors: [Certificate]) {
        let sorted = Set(anchors).map(\.der).sorted { $0.lexicographicallyPrecedes($1) }
        self.init(
            bundle: Hexadecimal.text(Digest.sha256(Array(sorted.joined()))),
            anchors: Set(anchors).map { Hexadecimal.text($0.fingerprint) }.sorted())
    }
}

extension ObservedState.Certificate {
    /// In characters; a longer name is told by its beginning.
    private static let issuerLimit = 200

    /// `authorities`: for an issuer that the chain leaves out.
    fileprivate init(role: String, _ identity: TLSIdentity, among authorities: [Certificate]) {
        let leaf = identity.leaf
        let issuer = (identity.chain.dropFirst() + authorities).first { $0.subjectDER == leaf.issuerDER }
        self.init(
            role: role, serial: leaf.serial, issuer: String(leaf.issuer.prefix(Self.issuerLimit)),
            issuerKey: issuer.map { Hexadecimal.text($0.publicKeySHA256) }, notAfter: leaf.notAfter,
            chain: identity.chain.map { Hexadecimal.text($0.fingerprint) })
    }
}

extension ObservedState.Listener {
    /// `issuers`: verified peers by SHA-256 of their issuer's SubjectPublicKeyInfo. `anchors`: nil: not there yet.
    package init(
        name: String, isTunnel: Bool, roles: [String], anchors: [Certificate]?, served: Certificate?,
        issuers: [[UInt8]: UInt64], unknownCA: UInt64, refusingClients: UInt64, unknownIssuers: UInt64
    ) {
        self.init(
            name: name, isTunnel: isTunnel, roles: roles, trust: anchors.map { ObservedState.Trust(of: $0) },
            served: served.map { Hexadecimal.text($0.fingerprint) },
            issuers: issuers.map { key, peers in
                ObservedState.Issuer(key: Hexadecimal.text(key), peers: Int64(clamping: peers))
            }.sorted { $0.key < $1.key },
            unknownCA: Int64(clamping: unknownCA), refusingClients: Int64(clamping: refusingClients),
            unknownIssuers: Int64(clamping: unknownIssuers))
    }
}

enum Hexadecimal {
    static func text(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }
}
