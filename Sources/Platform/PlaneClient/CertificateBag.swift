import FoundationEssentials
import OpenSSL
import SwiftASN1

/// The certs-only PKCS#7 of EST answers (RFC 7030 §4.1.3, RFC 5652): a bag of certificates in no order that means
/// anything.
///
/// Read with swift-asn1 within bounds, in BER as some servers send it; never with OpenSSL's CMS code.
package enum CertificateBag {
    package static let sizeLimit = 256 << 10
    package static let certificateLimit = 32
    package static let certificateSizeLimit = 16 << 10

    private static let signedData: ASN1ObjectIdentifier = [1, 2, 840, 113549, 1, 7, 2]

    /// The certificates of an answer's body: base64 with any line breaks, or none.
    package static func certificates(inBase64 body: [UInt8]) throws(PlaneError) -> [Certificate] {
        guard body.count <= sizeLimit else { throw flaw("it is longer than \(sizeLimit) bytes") }
        // SEQUENCE, long form: what a server sends that forgot the base64.
        if body.first == 0x30, body.count > 1, body[1] & 0x80 != 0 {
            throw flaw("it is raw DER and not base64 (RFC 8951 §3.1)")
        }
        return try certificates(in: try decodeBase64(body))
    }

    package static func certificates(in der: [UInt8]) throws(PlaneError) -> [Certificate] {
        let encoded: [ArraySlice<UInt8>]
        do {
            encoded = try parse(der)
        } catch let error as PlaneError {
            throw error
        } catch {
            throw flaw("it is not certs-only PKCS#7 (\(error))")
        }
        guard !encoded.isEmpty else { throw flaw("it holds no certificate") }
        var certificates: [Certificate] = []
        for one in encoded {
            do {
                certificates.append(try Certificate(der: Array(one)))
            } catch {
                throw flaw("it holds a certificate that cannot be used: \(error)")
            }
        }
        return certificates
    }

    /// RFC 4648 §4, where CR, LF, SP and TAB may stand anywhere and nothing else may (RFC 8951 §3.1).
    static func decodeBase64(_ body: [UInt8]) throws(PlaneError) -> [UInt8] {
        let packed = body.filter { ![0x0D, 0x0A, 0x20, 0x09].contains($0) }
        guard !packed.isEmpty, let decoded = Data(base64Encoded: Data(packed)) else { throw flaw("it is not base64") }
        return Array(decoded)
    }

    private static func flaw(_ detail: String) -> PlaneError {
        PlaneError(.protocolError, "the EST answer cannot be used: \(detail)")
    }

    private static func parse(_ der: [UInt8]) throws -> [ArraySlice<UInt8>] {
        try BER.sequence(try BER.parse(der), identifier: .sequence) { nodes in
            guard try ASN1ObjectIdentifier(berEncoded: &nodes) == signedData else { throw flaw("it is no SignedData") }
            return try BER.explicitlyTagged(&nodes, tagNumber: 0, tagClass: .contextSpecific) { node in
                try BER.sequence(node, identifier: .sequence, parseSignedData)
            }
        }
    }

    /// version, digestAlgorithms, encapContentInfo without content, certificates [0], crls [1] optional, no
    /// signerInfos.
    private static func parseSignedData(_ nodes: inout ASN1NodeCollection.Iterator) throws -> [ArraySlice<UInt8>] {
        _ = try Int(berEncoded: &nodes)
        _ = nodes.next()
        guard let content = nodes.next(), case .constructed(let parts) = content.content,
            parts.reduce(0, { count, _ in count + 1 }) == 1
        else { throw flaw("it carries content beside its certificates") }
        var certificates: [ArraySlice<UInt8>] = []
        while let node = nodes.next() {
            switch node.identifier {
            case ASN1Identifier(tagWithNumber: 0, tagClass: .contextSpecific):
                guard case .constructed(let bag) = node.content else { throw flaw("its certificates are no set") }
                for certificate in bag {
                    guard certificate.identifier == .sequence, certificates.count < certificateLimit else {
                        throw flaw("it holds more than \(certificateLimit) certificates, or something else among them")
                    }
                    guard certificate.encodedBytes.count <= certificateSizeLimit else {
                        throw flaw("one of its certificates is longer than \(certificateSizeLimit) bytes")
                    }
                    certificates.append(certificate.encodedBytes)
                }
            case ASN1Identifier(tagWithNumber: 1, tagClass: .contextSpecific): continue
            case .set:
                guard case .constructed(let signers) = node.content, signers.first(where: { _ in true }) == nil else {
                    throw flaw("it is signed, where a bag of certificates is expected")
                }
            default: throw flaw("it has a part that does not belong there")
            }
        }
        return certificates
    }
}
