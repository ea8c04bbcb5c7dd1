import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// A PKCS#10 request whose signature holds, whose key is strong enough, and of which every part was understood. What it
/// asks for is still only a wish: `IssuancePolicy` decides.
struct EnrollmentRequest: Sendable {
    static let sizeLimit = 8 << 10
    static let nameLimit = 64

    let subject: DistinguishedName
    let subjectDER: [UInt8]
    let publicKey: Certificate.PublicKey
    /// SHA-256 over all of it.
    let digest: [UInt8]
    /// SHA-256 over the SubjectPublicKeyInfo.
    let keyDigest: [UInt8]
    let isRSA: Bool
    let names: [GeneralName]
    let alternativeNames: Certificate.Extension?
    /// nil: no wish.
    let usages: Set<CertificateUsage>?

    /// The body as EST sends it: base64 with CR, LF, SP and TAB anywhere (RFC 8951 §3.1), nothing else.
    init(base64 body: [UInt8]) throws(Refusal) {
        let digits = body.filter { ![0x0D, 0x0A, 0x20, 0x09].contains($0) }
        guard let der = Data(base64Encoded: Data(digits)), !der.isEmpty else {
            throw .malformedRequest("the body is not base64 of a PKCS#10 request")
        }
        try self.init(der: Array(der))
    }

    init(der: [UInt8]) throws(Refusal) {
        digest = Array(SHA256.hash(data: der))
        guard der.count <= Self.sizeLimit else {
            throw .malformedRequest("the request is longer than \(Self.sizeLimit) bytes")
        }
        let request: CertificateSigningRequest
        do {
            request = try CertificateSigningRequest(derEncoded: der)
            subjectDER = try DER.encode(request.subject)
            let keyDER = try DER.encode(request.publicKey)
            keyDigest = Array(SHA256.hash(data: keyDER))
            isRSA = try Self.checkKey(request.publicKey, der: keyDER)
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw .malformedRequest("the request is not PKCS#10: \(error)")
        }
        guard request.signatureAlgorithm != .sha1WithRSAEncryption else {
            throw .malformedRequest("the request is signed with SHA-1; sign it with SHA-256")
        }
        guard request.publicKey.isValidSignature(request.signature, for: request) else {
            throw .malformedRequest("the request's signature is not made by the key that it asks a certificate for")
        }
        subject = request.subject
        publicKey = request.publicKey
        (names, alternativeNames, usages) = try Self.readWishes(request.attributes)
    }

    /// P-256, P-384, or RSA of at least 3072 bits; true for RSA.
    private static func checkKey(_ key: Certificate.PublicKey, der: [UInt8]) throws -> Bool {
        if P256.Signing.PublicKey(key) != nil || P384.Signing.PublicKey(key) != nil { return false }
        if let bits = try rsaBits(der) {
            guard bits >= 3072, bits <= 8192 else {
                throw Refusal.weakKey("an RSA key of \(bits) bits; take 3072 to 8192, or ec-p256")
            }
            return true
        }
        throw Refusal.weakKey("a key of this kind is not taken; take ec-p256, ec-p384 or rsa-3072")
    }

    private static func rsaBits(_ der: [UInt8]) throws -> Int? {
        let rsaEncryption: ASN1ObjectIdentifier = [1, 2, 840, 113549, 1, 1, 1]
        return try DER.sequence(try DER.parse(der), identifier: .sequence) { nodes -> Int? in
            guard let algorithm = nodes.next(), let bits = nodes.next() else { return nil }
            let oid = try DER.sequence(algorithm, identifier: .sequence) { parts -> ASN1ObjectIdentifier in
                let oid = try ASN1ObjectIdentifier(derEncoded: &parts)
                while parts.next() != nil {}
                return oid
            }
            guard oid == rsaEncryption else { return nil }
            let key = try ASN1BitString(derEncoded: bits)
            return try DER.sequence(try DER.parse(Array(key.bytes)), identifier: .sequence) { numbers in
                let modulus = try ArraySlice<UInt8>(derEncoded: &numbers).drop { $0 == 0 }
                _ = try ArraySlice<UInt8>(derEncoded: &numbers)
                return modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0)
            }
        }
    }

    private typealias Wishes = (names: [GeneralName], alternativeNames: Certificate.Extension?, Set<CertificateUsage>?)

    private static func readWishes(_ attributes: CertificateSigningRequest.Attributes) throws(Refusal) -> Wishes {
        var wishes: Wishes = ([], nil, nil)
        for attribute in attributes {
            guard attribute.oid == ASN1ObjectIdentifier.CSRAttributes.extensionRequest else {
                throw .malformedRequest("the attribute \(attribute.oid) is not understood; leave it out")
            }
            let extensions: Certificate.Extensions
            do {
                extensions = try ExtensionRequest(attribute).extensions
            } catch {
                throw .malformedRequest("the extension request is not readable: \(error)")
            }
            for wish in extensions { try read(wish, into: &wishes) }
        }
        return wishes
    }

    private static func read(_ wish: Certificate.Extension, into wishes: inout Wishes) throws(Refusal) {
        do {
            switch wish.oid {
            case .X509ExtensionID.subjectAlternativeName:
                wishes.names = Array(try SubjectAlternativeNames(wish))
                guard wishes.names.count <= nameLimit else {
                    throw Refusal.malformedRequest("the request has more than \(nameLimit) names")
                }
                wishes.alternativeNames = wishes.names.isEmpty ? nil : wish
            case .X509ExtensionID.basicConstraints:
                guard case .notCertificateAuthority = try BasicConstraints(wish) else {
                    throw Refusal.denied(
                        "authority-not-allowed", "the request asks for a certificate authority (CA:TRUE)")
                }
            case .X509ExtensionID.keyUsage:
                let usage = try KeyUsage(wish)
                var rest = usage
                rest.digitalSignature = false
                rest.keyEncipherment = false
                guard rest == KeyUsage() else {
                    throw Refusal.denied("usage-not-allowed", "the key usage \(usage) is more than signing a handshake")
                }
            case .X509ExtensionID.extendedKeyUsage:
                wishes.2 = try Set(ExtendedKeyUsage(wish).map { try usage($0) })
            default:
                throw Refusal.denied("extension-not-allowed", "the request asks for the extension \(wish.oid)")
            }
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw .malformedRequest("the extension \(wish.oid) is not readable: \(error)")
        }
    }

    private static func usage(_ usage: ExtendedKeyUsage.Usage) throws -> CertificateUsage {
        guard let known = CertificateUsage.allCases.first(where: { $0.extendedKeyUsage == usage }) else {
            throw Refusal.denied("usage-not-allowed", "the extended key usage \(usage) is never issued")
        }
        return known
    }
}
