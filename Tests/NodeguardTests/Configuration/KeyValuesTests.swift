import Certificates
import OpenSSL
import Proxy
import Testing
import Tokens

@testable import nodeguard

@Suite struct `Where keys are kept` {
    private static let managed = """
        node: { name: db-1 }
        management: { url: https://plane, join: /join }

        """

    private static let token = "pkcs11:token=a?module-path=/m.so&pin-source=file:/pin"

    private func configuration(_ certificates: String) throws -> NodeConfiguration {
        try NodeConfiguration.parse(Self.managed + "certificates: { \(certificates) }", path: "test")
    }

    @Test func `is a file, unless told otherwise for all or for one`() throws {
        let usual = try configuration("roles: [ { name: a, names: [a] } ]").certificatesConfiguration()
        #expect(usual.key.store == nil && usual.key.kind == .ecP256)
        #expect(usual.roles[0].key?.store == nil)

        let all = try configuration(
            """
            key: { kind: rsa-3072, store: "\(Self.token)" }, roles: [ { name: a, names: [a] },
              { name: b, names: [b], key: { kind: ec-p256, store: file } },
              { name: c, names: [c], key: { kind: ec-p256, store: tpm } },
              { name: d, names: [d], key: { kind: ec-p384 } } ]
            """
        ).certificatesConfiguration()
        #expect(all.key.store == (try KeyStore(Self.token)) && all.key.kind == .rsa3072)
        #expect(all.roles.map { $0.key?.kind } == [.rsa3072, .ecP256, .ecP256, .ecP384])
        #expect(
            all.roles.map { $0.key?.store } == [try KeyStore(Self.token), nil, .tpm(nil), try KeyStore(Self.token)])
    }

    @Test func `gives a listener a lane of its own where it is a token`() throws {
        let text =
            Self.managed + """
                certificates:
                  roles: [ { name: a, names: [a], key: { store: tpm } }, { name: b, names: [b] } ]
                proxy:
                  listeners:
                    - { name: x, listen: ["127.0.0.1:1"], protocol: tcp, backend: "127.0.0.1:2", certificate: a,
                        trust: [cluster], allow: [ { common-name: c } ] }
                    - { name: y, listen: ["127.0.0.1:3"], protocol: tcp, backend: "127.0.0.1:2", certificate: b,
                        trust: [cluster], allow: [ { common-name: c } ] }
                """
        let proxy = try NodeConfiguration.parse(text, path: "test").proxyConfiguration()
        #expect(proxy.listeners.map(\.hasTokenKey) == [true, false])
    }

    @Test(arguments: [
        ("key: { store: vault }", "3:31: 'vault' is no key store: write file, tpm or a pkcs11: URI"),
        (
            "key: { store: \"pkcs11:token=a?module-path=/m.so&pin-value=1\" }",
            "3:31: a PIN does not stand in the configur"
        ),
        ("key: { kind: rsa-3072, store: tpm }", "3:30: a TPM makes keys of the kind ec-p256 here"),
        ("key: { store: \"handle:0x81000001\" }", "3:31: a persistent handle holds one key"),
        (
            "roles: [ { name: a, names: [a], key: { store: tpm }, publish: { directory: /tls } } ]",
            "3:79: the key of the role 'a' does not leave tpm"
        ),
        (
            "roles: [ { name: a, files: { chain: /c, key: /k }, key: { store: tpm } } ]",
            "3:73: 'key' does not go with 'files'"
        ),
    ])
    func `is refused at its place`(certificates: String, mistake: String) {
        let found = mistakes(Self.managed + "certificates: { \(certificates) }")
        #expect(found.count == 1 && found[0].hasPrefix(mistake), "\(found)")
    }

    @Test func `is no token where this node connects to somebody beside live sessions`() {
        let text =
            Self.managed + """
                certificates: { roles: [ { name: a, names: [a], usage: [server, client], key: { store: tpm } } ] }
                proxy:
                  listeners:
                    - { name: x, listen: ["127.0.0.1:1"], protocol: tcp, backend: "127.0.0.1:2", certificate: a,
                        backend-tls: same-certificate, trust: [cluster], allow: [ { common-name: c } ] }
                  tunnels:
                    - { name: t, listen: "127.0.0.1:3", connect: "b:1", certificate: a }
                """
        let found = mistakes(text)
        #expect(
            found.count == 2 && found.allSatisfy { $0.contains("live sessions must not wait for a token") }, "\(found)")
    }
}
