import OpenSSL

/// Whom the authorities of the cluster have revoked.
package struct ClusterRevocation: Sendable {
    package let lists: [RevocationList]
    /// The authorities that may have signed them; the root is not always an anchor.
    package let signers: [Certificate]

    package init(lists: [RevocationList], signers: [Certificate]) {
        self.lists = lists
        self.signers = signers
    }
}
