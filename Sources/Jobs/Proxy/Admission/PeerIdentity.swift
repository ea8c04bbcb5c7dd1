import OpenSSL

/// Who a proven peer is, whichever of its certificates it shows: its issuer and all of its names.
///
/// Not its key: a renewal changes that, and each replica of an application has one of its own. Not its subject alone:
/// the workloads of a SPIFFE domain may all have the same.
struct PeerIdentity: Hashable, Sendable {
    /// For people.
    let name: String
    private let digest: [UInt8]

    init(_ peer: PeerAttributes) {
        let names = peer.uris + peer.dnsNames + peer.emails
        name = ProxyReports.short(peer.subject.isEmpty ? names.first ?? peer.issuer : peer.subject)
        let texts = [[peer.issuer], [peer.subject], peer.uris, peer.dnsNames, peer.emails]
        let lists = texts.map { $0.map { Array($0.utf8) } }
        // With their lengths, so that no two lists of names are one text; a renewal may order them otherwise.
        digest = Digest.sha256(
            (lists + [peer.addresses]).flatMap { list in
                bigEndian(UInt32(list.count))
                    + list.sorted { $0.lexicographicallyPrecedes($1) }.flatMap { bigEndian(UInt32($0.count)) + $0 }
            })
    }

    static func == (left: PeerIdentity, right: PeerIdentity) -> Bool { left.digest == right.digest }

    func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
