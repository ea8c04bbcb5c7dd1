import OpenSSL
import TestSupport

@testable import PlaneClient
@testable import Proxy

extension FuzzTarget {
    private static let authority = Result { try TestAuthority() }

    /// An EST server's answer, as bytes and as base64.
    static let certificateBag = FuzzTarget("certificate-bag", longest: 8192) {
        let authority = try Self.authority.get()
        let files = [authority.root.certificatePath, authority.intermediate.certificatePath]
        let folder = try TemporaryDirectory()
        for form in ["DER", "PEM"] {
            try Subprocess.check(
                "openssl",
                ["crl2pkcs7", "-nocrl", "-outform", form, "-out", folder.file(form)]
                    + files.flatMap { ["-certfile", $0] })
        }
        let armoured = String(decoding: try folder.read("PEM"), as: UTF8.self).split(separator: "\n")
        let base64 = armoured.dropFirst().dropLast().joined(separator: "\n")
        return [try folder.read("DER"), Array(base64.utf8)]
    } check: { input in
        for certificates in [
            try? CertificateBag.certificates(in: input), try? CertificateBag.certificates(inBase64: input),
        ] {
            guard let certificates else { continue }
            try promise((1...CertificateBag.certificateLimit).contains(certificates.count), "\(certificates.count)")
            for certificate in certificates { try read(certificate) }
        }
    }

    /// A peer's certificate, before anything about it is known.
    static let certificate = FuzzTarget("certificate", longest: 4096) {
        let authority = try Self.authority.get()
        let leaf = try authority.issue(
            name: "shop", organization: "Shop", dnsNames: ["shop.example"], addresses: ["127.0.0.1", "::1"],
            uris: ["spiffe://cluster-a/app/shop"], emails: ["a@shop.example"], usage: [.client, .server])
        return [
            try leaf.certificate().der, try authority.root.certificate().der, try leaf.certificatePEM,
            try leaf.chainPEM,
        ]
    } check: { input in
        if let certificate = try? Certificate(der: input) {
            try promise(certificate.der == input, "a certificate of other bytes than were given")
            try read(certificate)
        }
        for certificate in (try? Certificate.parsePEM(input)) ?? [] { try read(certificate) }
    }

    private static func read(_ certificate: Certificate) throws {
        let peer = PeerAttributes(certificate)
        let names = peer.commonNames + peer.dnsNames + peer.uris + peer.emails
        try promise(!names.contains { $0.utf8.contains(0) }, "a name with a zero byte in it")
        try promise(peer.addresses.allSatisfy { [4, 16].contains($0.count) }, "an address of another length")
        let again = try? Certificate.parsePEM(Array(certificate.pem.utf8))
        try promise(again == [certificate], "PEM that is read as another certificate")
    }
}
