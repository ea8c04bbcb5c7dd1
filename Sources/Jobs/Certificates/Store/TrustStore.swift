import OpenSSL

/// To whom this node belongs: what the join bundle said, kept for as long as the node is a member.
package struct Membership: Codable, Sendable, Equatable {
    package let url: String
    package let cluster: String
    package let node: String
    /// Of the plane's roots, as in a join bundle.
    package let pins: [String]
}

/// The authorities that this node trusts, and its membership: `trust/g<N>/{anchors.pem,meta.json}`.
package struct TrustStore: Sendable {
    private struct Meta: Codable {
        var schema = 1
        let membership: Membership
    }

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
            do throws(OpenSSLError) {
                return StoredTrust(anchors: try TrustAnchors(pem: pem), membership: meta.membership)
            } catch {
                throw .damaged(error.description)
            }
        }
        return Loaded(trust: found.value, damage: found.damage)
    }

    package func publish(_ trust: StoredTrust) throws(StoreError) {
        let text = trust.anchors.certificates.map(\.pem).joined()
        _ = try folder.publish([.bytes("anchors.pem", Array(text.utf8))]) { _ throws(StoreError) in
            try StateJSON.encode(Meta(membership: trust.membership))
        }
    }
}

package struct StoredTrust: Sendable {
    package let anchors: TrustAnchors
    package let membership: Membership

    package init(anchors: TrustAnchors, membership: Membership) {
        self.anchors = anchors
        self.membership = membership
    }
}
