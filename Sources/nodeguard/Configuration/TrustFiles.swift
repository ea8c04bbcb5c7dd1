import IO
import OpenSSL
import Proxy
import Reports

/// What the files of authorities hold that `trust` and its like name.
extension ListenerSection.Trust {
    private static let sizeLimit = 1 << 20

    fileprivate var file: String? { if case .file(let path) = self { path } else { nil } }

    /// Only such as can verify a peer: with one that cannot, every peer would be refused, and nobody would be told.
    static func authorities(in path: String, for purpose: CertificatePurpose) throws -> [Certificate] {
        let blocks = try Certificate.blocks(ofPEM: try Files.read(path, limit: sizeLimit))
        for block in blocks {
            guard let flaw = block.certificate.flawAsAnchor(for: purpose) else { continue }
            throw OpenSSLError("trust \(block.certificate) in \(block.place)", flaw)
        }
        let found = blocks.map(\.certificate)
        _ = try TrustAnchors(found, pinsIntermediates: true)
        return found
    }
}

extension ListenerSection.Trust {
    /// Every authority of a file has expired; one may stand beside its successor. Time alone brings that about, so it
    /// keeps no node from starting, and no other listener from its new certificate.
    static func expired(in path: String, at now: Int64) -> String? {
        guard let blocks = try? Certificate.blocks(ofPEM: try Files.read(path, limit: sizeLimit)),
            let last = blocks.map(\.certificate).max(by: { $0.notAfter < $1.notAfter }), last.notAfter < now
        else { return nil }
        return "\(last) has expired, and nobody is trusted by it"
    }
}

extension [ListenerSection.Trust] {
    var files: [String] { compactMap(\.file) }

    /// As the files are now. `purpose`: what those are that they are to certify.
    func current(for purpose: CertificatePurpose) throws -> ListenerTrust {
        var trust = ListenerTrust(trustsCluster: contains(.cluster), anchors: [])
        for path in files {
            for authority in try ListenerSection.Trust.authorities(in: path, for: purpose) {
                trust.anchors.append(authority)
                trust.files[authority] = trust.files[authority] ?? path
            }
        }
        return trust
    }
}
