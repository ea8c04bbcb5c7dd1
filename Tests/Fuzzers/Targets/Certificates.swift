import FoundationEssentials
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

    /// An EST server's csrattrs, as bytes and as base64.
    static let requestWishes = FuzzTarget("request-wishes", longest: 4096) {
        let vector =
            "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="
        let policies = "MCUwIwYJKoZIhvcNAQkOMRYwFDASBgNVHSAECzAJMAcGBSoDBAUGAA=="
        let all = [vector, policies, "MAA="]
        return all.map { Array($0.utf8) } + all.compactMap { Data(base64Encoded: $0).map(Array.init) }
    } check: { input in
        for kind in [KeyKind.ecP256, .rsa3072] {
            for wishes in [
                try? RequestWishes(in: input, configured: kind), try? RequestWishes(inBase64: input, configured: kind),
            ] {
                guard let wishes else { continue }
                try promise([.ecP256, .ecP384, .rsa3072].contains(wishes.keyKind), "a key of \(wishes.keyKind)")
                try promise(wishes.unmet.count <= RequestWishes.countLimit, "\(wishes.unmet.count) words")
                try promise(wishes.unmet.allSatisfy { $0.utf8.count <= 120 }, "a word without end")
                let names = wishes.details.extensions.map(\.identifier)
                try promise(Set(names).count == names.count && names.count <= 8, "extensions \(names)")
                try promise(!names.contains("2.5.29.17"), "a server's own names")
            }
        }
    }

    /// A `Location` header.
    static let redirect = FuzzTarget("redirect", longest: 512) {
        ["/est/a", "https://plane:8443/est?x#y", "//plane:8443/x", "https://a@plane:8443/", "https://plane:8443.b/"]
            .map { Array($0.utf8) }
    } check: { input in
        let location = String(decoding: input, as: UTF8.self)
        let url = "https://plane:8443/.well-known/est/a/simpleenroll"
        guard let target = try? Redirect.target(location, from: url, doing: "ask") else { return }
        let isThere = target.lowercased().hasPrefix("https://plane:8443/")
        try promise(isThere || target.lowercased() == "https://plane:8443", "it leads to \(target)")
        try promise(target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "an address with a break in it")
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
