import FoundationEssentials

/// A DSSE envelope (secure-systems-lab/dsse, envelope.md) with one signature, and beside that the certificate of the
/// key that made it. Whether the signature is right, and the certificate's, is for the reader to find out before the
/// payload is read.
package struct SignedEnvelope: Sendable, Equatable {
    package let payloadType: String
    package let payload: [UInt8]
    /// ECDSA over P-256 with SHA-256 (ES256), in DER, of the payload's pre-authentication encoding (protocol.md, PAE).
    package let signature: [UInt8]
    /// In DER.
    package let certificate: [UInt8]
    /// `sha256:` and the hex of SHA-256 over the key's SubjectPublicKeyInfo: a hint, never believed.
    package let keyID: String

    package init(payloadType: String, payload: [UInt8], signature: [UInt8], certificate: [UInt8], keyID: String) {
        self.payloadType = payloadType
        self.payload = payload
        self.signature = signature
        self.certificate = certificate
        self.keyID = keyID
    }

    package init(reading bytes: [UInt8]) throws(JSONFlaw) {
        guard bytes.count <= DesiredState.sizeLimit else {
            throw JSONFlaw("the envelope is longer than \(DesiredState.sizeLimit) bytes", at: 0)
        }
        var members = try JSONMembers(try JSONNode(reading: bytes), path: "")
        payloadType = try members.required("payloadType")
        payload = try members.bytes("payload", limit: DesiredState.payloadLimit)
        let signatures = try members.items("signatures") ?? []
        try members.end()
        guard signatures.count == 1 else { throw JSONFlaw("the envelope needs one signature", at: members.offset) }
        var one = try JSONMembers(signatures[0], path: "signatures[0]")
        keyID = try one.required("keyid")
        signature = try one.bytes("sig", limit: 256)
        certificate = try one.bytes("certificate", limit: 16 << 10)
        try one.end()
    }

    /// As JSON, one text for one envelope.
    package var text: [UInt8] {
        get throws { Array(try JSONEncoder.plane.encode(self)) }
    }
}

extension SignedEnvelope: Encodable {
    private struct Signature: Encodable {
        let keyid: String
        let sig: String
        let certificate: String
    }

    private enum CodingKeys: String, CodingKey { case payloadType, payload, signatures }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(payloadType, forKey: .payloadType)
        try container.encode(Data(payload).base64EncodedString(), forKey: .payload)
        let one = Signature(
            keyid: keyID, sig: Data(signature).base64EncodedString(),
            certificate: Data(certificate).base64EncodedString())
        try container.encode([one], forKey: .signatures)
    }
}

extension JSONMembers {
    /// Base64 (RFC 4648 §4) in its one canonical form.
    fileprivate mutating func bytes(_ name: String, limit: Int) throws(JSONFlaw) -> [UInt8] {
        guard let node = take(name) else { throw JSONFlaw("'\(full(name))' is missing", at: offset) }
        let text = try node.text(full(name), limit: limit / 3 * 4 + 4)
        guard let data = Data(base64Encoded: text), data.base64EncodedString() == text else {
            throw JSONFlaw("'\(full(name))' is not base64", at: node.offset)
        }
        return Array(data)
    }
}
