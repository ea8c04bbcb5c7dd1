import FoundationEssentials
import OpenSSL
import PlaneAPI
import TestSupport

@testable import Management

extension FuzzTarget {
    private static let plane = Result {
        let authority = try TestAuthority(name: "Plane")
        let key = try authority.issue(
            name: "key", organization: "a", usage: [],
            extensions: ["extendedKeyUsage": "critical,\(DesiredState.keyUsage)"], by: .root)
        return (root: try authority.root.certificate(), key: key)
    }

    private static let content = """
        {"deny":[{"serial":"0A:1B","issuer":"CN=x"},{"uri":"spiffe://a/*"}],"min_agent":"0.1.0",\
        "listeners":{"ysql":{"allow":[{"dns":["a","b"]}],"deny":[{"any":[{"ip":"10.0.0.1"}]}]}},\
        "roles":{"database":{"dns":"x","addresses":["::1"]}},"reissue":[{"id":"1","role":"database"}]}
        """

    private static var state: DesiredState {
        get throws {
            DesiredState(
                cluster: "a", node: "n", version: 1, issuedAt: 1_764_000_000, expiresAt: 1_774_000_000,
                content: try DesiredContent(reading: Array(content.utf8)))
        }
    }

    /// DSSE and what a plane signs.
    static let desiredEnvelope = FuzzTarget("desired-envelope", longest: 4096) {
        let (payload, identity) = (try state.payload, try plane.get().key)
        let signature = try PrivateKey(pemFile: identity.keyPath).sign(
            VerifiedDesiredState.authenticated(type: DesiredState.payloadType, payload: payload))
        return [
            try SignedEnvelope(
                payloadType: DesiredState.payloadType, payload: payload, signature: signature,
                certificate: try identity.certificate().der, keyID: "sha256:0a"
            ).text
        ]
    } check: { input in
        let reader = VerifiedDesiredState.Reader(cluster: "a", node: "n", version: "1.0.0")
        let roots = [try plane.get().root]
        if let envelope = try? SignedEnvelope(reading: input) {
            try promise(try SignedEnvelope(reading: envelope.text) == envelope, "it is written as another")
        }
        let verified = try? VerifiedDesiredState(verifying: input, for: reader, roots: roots, at: nil)
        if let verified { try promise(try verified.state == state, "a state that nobody has signed") }
    }

    /// The payload, and the file of an operator.
    static let desiredState = FuzzTarget("desired-state", longest: 2048) {
        [try state.payload, Array(content.utf8), Array("{}".utf8)]
    } check: { input in
        for content in [
            (try? DesiredState(reading: input))?.content, try? DesiredContent(reading: input),
        ].compactMap({ $0 }) {
            let text = Array(try JSONEncoder.plane.encode(content))
            try promise(try DesiredContent(reading: text) == content, "it is written as another")
            try promise(content.joined(with: content) == content, "twice the same is more")
            let lines = content.deny.allSatisfy { !$0.line.contains { $0.isNewline } }
            try promise(lines, "an entry that is two")
        }
        if let state = try? DesiredState(reading: input) {
            try promise(try DesiredState(reading: state.payload) == state, "the payload is written as another")
        }
    }
}
