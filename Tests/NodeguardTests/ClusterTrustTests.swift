import OpenSSL
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `The trust of a cluster` {
    @Test func `is its own intermediates, and never again the root alone once there were some`() throws {
        let authority = try TestAuthority()
        let root = try Certificate.parsePEM(authority.root.certificatePEM)
        let intermediate = try Certificate.parsePEM(authority.intermediate.certificatePEM)
        let trust = ClusterTrust()
        #expect(trust.anchors(of: try TrustAnchors(root))?.certificates == root, "a plane without intermediates")
        #expect(trust.anchors(of: try TrustAnchors(root + intermediate))?.certificates == intermediate)
        #expect(trust.anchors(of: try TrustAnchors(root)) == nil)
    }
}
