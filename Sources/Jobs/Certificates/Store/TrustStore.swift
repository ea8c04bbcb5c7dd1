import OpenSSL

/// To whom this node belongs: what the join bundle said, kept for as long as the node is a member.
package struct Membership: Codable, Sendable, Equatable {
    package let url: String
    package let cluster: String
    package let node: String
    /// Of the plane's roots, as in a join bundle.
    package let pins: [String]

    func pinning(_ pins: [String]) -> Membership {
        Membership(url: url, cluster: cluster, node: node, pins: pins)
    }
}

/// The authorities that this node trusts, and its membership: `trust/g<N>/{anchors.pem,meta.json}`, and `cross.pem`
/// while one root follows another.
package struct TrustStore: Sendable {
    private struct Meta: Codable {
        var schema = 1
        let membership: Membership
        /// Whether there is `cross.pem`; nil: there is none.
        var hasCrossCertificates: Bool?
    }

    static let crossName = "cross.pem"

    private let folder: GenerationFolder

    package init(
        stateDirectory: String, onStep: @escaping @Sendable (PublicationStep) throws(StoreError) -> Void = { _ in }
    ) {
        folder = GenerationFolder(
            stateDirectory + "/trust", name: "trust", quarantine: stateDirectory + "/quarantine", onStep: onStep)
    }

    package struct Loaded: Sendable {
        package let trust: StoredTrust?
        package let damage: [GenerationFolder.Damage]
    }

    package func load() throws(StoreError) -> Loaded {
        let found = try folder.load { number throws(GenerationFolder.Flaw) in
            let meta: Meta = try StateJSON.decode(try folder.bytes(GenerationFolder.metaName, of: number))
            let pem = try folder.bytes("anchors.pem", of: number)
            let cross = meta.hasCrossCertificates == true ? try folder.bytes(Self.crossName, of: number) : nil
            do throws(OpenSSLError) {
                var trust = StoredTrust(anchors: try TrustAnchors(pem: pem), membership: meta.membership)
                if let cross { trust.crossCertificates = try Certificate.parsePEM(cross) }
                return trust
            } catch {
                throw .damaged(error.description)
            }
        }
        return Loaded(trust: found.value, damage: found.damage)
    }

    package func publish(_ trust: StoredTrust) throws(StoreError) {
        let text = trust.anchors.certificates.map(\.pem).joined()
        let cross = trust.crossCertificates.map(\.pem).joined()
        var files: [GenerationFile] = [.bytes("anchors.pem", Array(text.utf8))]
        if !cross.isEmpty { files.append(.bytes(Self.crossName, Array(cross.utf8))) }
        _ = try folder.publish(files) { _ throws(StoreError) in
            try StateJSON.encode(
                Meta(membership: trust.membership, hasCrossCertificates: cross.isEmpty ? nil : true))
        }
    }
}

package struct StoredTrust: Sendable {
    package let anchors: TrustAnchors
    package let membership: Membership
    /// Words of its roots for each other, while one follows another.
    package var crossCertificates: [Certificate] = []

    package init(anchors: TrustAnchors, membership: Membership) {
        self.anchors = anchors
        self.membership = membership
    }
}
