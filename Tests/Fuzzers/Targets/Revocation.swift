import OpenSSL
import TestSupport

@testable import Proxy

extension FuzzTarget {
    private static let authority = Result { try TestAuthority() }

    /// A file of CRLs.
    static let revocationList = FuzzTarget("revocation-list", longest: 4096) {
        let authority = try Self.authority.get()
        let list = try authority.revocationList {
            $0.serials = ["0A1B", "FF"]
            $0.extensions = ["issuingDistributionPoint": "critical,@point"]
        }
        let root = try authority.revocationList(by: authority.root)
        let (one, other) = (try TestRevocationList.der(ofPEM: list), try TestRevocationList.der(ofPEM: root))
        var bytes = try TestListBytes(of: authority.intermediate)
        bytes.entries = DERBytes.entry([0xA1], DERBytes.reason(1)) + DERBytes.entry([UInt8](repeating: 7, count: 20))
        return [list, list + root, one, other, one + other, try bytes.signed(by: authority.intermediate)]
    } check: { input in
        let authority = try Self.authority.get()
        let issuer = try authority.intermediate.certificate()
        for list in (try? RevocationList.parse(input)) ?? [] {
            try promise(list.thisUpdate < list.nextUpdate, "a list that ends before it begins")
            try promise(!list.isOlder(than: list), "a list that is older than itself")
            try promise(list.count <= input.count / 20, "a list of more than was read")
            let rules = RevocationRules(depth: .leaf)
            let trust = try TrustAnchors([issuer], pinsIntermediates: true, revocation: Revocation([list], rules))
            let verdict = trust.refusal(of: [issuer, issuer], at: list.thisUpdate)
            try promise(verdict != nil, "a list of another authority that lets somebody in")
        }
    }

    /// A deny list.
    static let denyList = FuzzTarget("deny-list", longest: 2048) {
        [
            Array(
                """
                # all kinds
                serial 0A:1B CN=Intermediate,O=Example
                spki sha256:\(String(repeating: "0a", count: 32))
                uri spiffe://c/app/*
                uri spiffe://c/app/shop
                common-name shop
                ip 192.0.2.1
                ip 2001:db8::1

                """.utf8), Array("dns a\r\nemail b@c\r\n".utf8),
        ]
    } check: { input in
        guard let list = try? DenyList(text: input, path: "/denied") else { return }
        try promise(list.denial(of: PeerAttributes()) == nil, "it denies somebody without a name")
        let again = try? DenyList(text: input + Array("\ncommon-name nobody-else\n".utf8), path: "/denied")
        try promise(again?.count == list.count + 1, "an entry that another hides")
    }
}
