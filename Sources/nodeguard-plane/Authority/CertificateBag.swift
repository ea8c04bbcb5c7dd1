import FoundationEssentials
import SwiftASN1

/// Certificates as EST carries them: a degenerate PKCS#7 SignedData without content and signers (RFC 7030 §4.1.3), in
/// base64 wrapped at 76 columns with CRLF, which every known client can read.
struct CertificateBag {
    let der: [UInt8]

    init(_ certificates: [[UInt8]]) throws {
        var serializer = DER.Serializer()
        try serializer.appendConstructedNode(identifier: .sequence) { content in
            try content.serialize(Self.signedData)
            try content.appendConstructedNode(identifier: Self.tagged0) { explicit in
                try explicit.appendConstructedNode(identifier: .sequence) { signed in
                    try signed.serialize(1)
                    signed.appendConstructedNode(identifier: .set) { _ in }
                    try signed.appendConstructedNode(identifier: .sequence) { try $0.serialize(Self.data) }
                    signed.appendConstructedNode(identifier: Self.tagged0) { set in
                        // DER orders a SET OF by its elements' encodings.
                        for der in certificates.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
                            set.serializeRawBytes(der)
                        }
                    }
                    signed.appendConstructedNode(identifier: .set) { _ in }
                }
            }
        }
        der = serializer.serializedBytes
    }

    var base64: String {
        Data(der).base64EncodedString(
            options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed]) + "\r\n"
    }

    private static let signedData: ASN1ObjectIdentifier = [1, 2, 840, 113549, 1, 7, 2]
    private static let data: ASN1ObjectIdentifier = [1, 2, 840, 113549, 1, 7, 1]
    private static let tagged0 = ASN1Identifier(tagWithNumber: 0, tagClass: .contextSpecific)
}
