import OpenSSL
import PlaneAPI

/// A desired state that the cluster's configuration key has signed, for this node and this agent.
package struct VerifiedDesiredState: Sendable {
    package let state: DesiredState
    /// As it came.
    let envelope: [UInt8]
    /// SHA-256 of the envelope, as 64 hex digits.
    let hash: String
    /// When the certificate of its key begins, in seconds since 1970.
    let keyMadeAt: Int64

    /// Who reads it.
    package struct Reader: Sendable {
        package var cluster: String
        package var node: String
        package var version: String

        package init(cluster: String, node: String, version: String) {
            self.cluster = cluster
            self.node = node
            self.version = version
        }
    }

    /// Nothing of the payload is read before signature and key are right. `roots`: whom this node trusts; of them only
    /// those count that are roots: what signs desired states is certified by a root itself, whose key was pinned at
    /// the join, and by no cluster's issuing authority. `unixSeconds`: when the key must be valid; nil: when it
    /// was certified, for what was accepted in time and is read again.
    init(
        verifying envelope: [UInt8], for reader: Reader, roots: [Certificate], at unixSeconds: Int64?
    ) throws(DesiredRefusal) {
        let signed: SignedEnvelope
        let certificate: Certificate
        do throws(JSONFlaw) { signed = try SignedEnvelope(reading: envelope) } catch {
            throw DesiredRefusal(.malformedEnvelope, error.description)
        }
        do throws(OpenSSLError) { certificate = try Certificate(der: signed.certificate) } catch {
            throw DesiredRefusal(.malformedEnvelope, "the certificate of its key: \(error)")
        }
        guard signed.payloadType == DesiredState.payloadType else {
            throw DesiredRefusal(.malformedEnvelope, "its payload is of the type \(signed.payloadType.prefix(128))")
        }
        try Self.check(certificate, of: reader.cluster, roots, at: unixSeconds)
        let bytes = Self.authenticated(type: signed.payloadType, payload: signed.payload)
        guard certificate.verifiesES256(signature: signed.signature, of: bytes) else {
            throw DesiredRefusal(.signature, "it is not signed by the key \(certificate)")
        }
        do throws(JSONFlaw) { state = try DesiredState(reading: signed.payload) } catch {
            let place = error.place(in: signed.payload)
            throw DesiredRefusal(.malformedPayload, "line \(place.line), column \(place.column): \(error)")
        }
        self.envelope = envelope
        hash = Hexadecimal.text(Digest.sha256(envelope))
        keyMadeAt = certificate.notBefore
        try checkReader(reader)
    }

    /// The certificate of a configuration key names its cluster as the only organization.
    private static func check(
        _ certificate: Certificate, of cluster: String, _ roots: [Certificate], at unixSeconds: Int64?
    ) throws(DesiredRefusal) {
        let anchors: TrustAnchors
        do throws(OpenSSLError) { anchors = try TrustAnchors(roots.filter(\.isSelfSigned)) } catch {
            throw DesiredRefusal(.keyNotDelegated, "there is no root that could vouch for its key: \(error)")
        }
        let verdict = anchors.verify(
            leaf: certificate, intermediates: [], purpose: .only(DesiredState.keyUsage),
            at: unixSeconds ?? certificate.notBefore)
        if case .refused(let reason) = verdict {
            throw DesiredRefusal(.keyNotDelegated, "the key \(certificate) is not delegated by a root: \(reason)")
        }
        guard certificate.organizations == [cluster] else {
            throw DesiredRefusal(.keyOfAnotherCluster, "\(certificate) signs for another cluster than \(cluster)")
        }
    }

    private func checkReader(_ reader: Reader) throws(DesiredRefusal) {
        guard state.cluster == reader.cluster else {
            throw DesiredRefusal(.otherCluster, "it is for the cluster \(state.cluster)")
        }
        if let node = state.node, node != reader.node { throw DesiredRefusal(.otherNode, "it is for the node \(node)") }
        if state.node == nil, state.except.contains(reader.node) {
            throw DesiredRefusal(.otherNode, "it is for the nodes that have none of their own, and this one has")
        }
        guard let text = state.content.minAgent, let wanted = AgentVersion(text) else { return }
        guard let own = AgentVersion(reader.version), own >= wanted else {
            throw DesiredRefusal(.agentTooOld, "it needs an agent of version \(text), this one is \(reader.version)")
        }
    }

    var offer: DesiredVersionStateMachine.Offer {
        DesiredVersionStateMachine.Offer(
            version: state.version, hash: hash, issuedAt: state.issuedAt, expiresAt: state.expiresAt,
            keyMadeAt: keyMadeAt)
    }

    /// DSSE's pre-authentication encoding: "DSSEv1", type and body, each with its length in front (dsse protocol.md).
    static func authenticated(type: String, payload: [UInt8]) -> [UInt8] {
        Array("DSSEv1 \(type.utf8.count) \(type) \(payload.count) ".utf8) + payload
    }
}
