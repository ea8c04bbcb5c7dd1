import Glibc
import IO
import OpenSSL
import TestSupport
import Testing

@Suite struct `A private key` {
    @Test(arguments: KeyKind.allCases)
    func `is made, written, read again and signs`(kind: KeyKind) throws {
        let folder = try temporaryDirectory()
        let path = folder.file("key.pem")
        let key = try PrivateKey.generate(kind)
        try key.writePEM(to: path)
        #expect(mode(path) == 0o600)
        let again = try PrivateKey(pemFile: path)
        #expect(again.publicKeyDER == key.publicKeyDER)
        #expect(!key.publicKeyDER.isEmpty)
        let signature = try again.sign([1, 2, 3])
        #expect(PrivateKey.verify(signature: signature, of: [1, 2, 3], publicKeyDER: key.publicKeyDER))
        #expect(!PrivateKey.verify(signature: signature, of: [1, 2, 4], publicKeyDER: key.publicKeyDER))
        #expect((key.rawPublicKey != nil) == (kind == .ed25519))
        try Subprocess.check("openssl", ["pkey", "-check", "-noout", "-in", path])
        #expect("\(key)" == "private key")
    }

    @Test(arguments: KeyKind.allCases)
    func `is the same text each time, and is read from it again`(kind: KeyKind) throws {
        let folder = try temporaryDirectory()
        let key = try PrivateKey.generate(kind)
        let text = try key.pem()
        #expect(try key.pem() == text)
        #expect(try PrivateKey.generate(kind).pem() != text)
        try key.writePEM(to: folder.file("key.pem"))
        let file = try OpenFolder(folder.path).open("key.pem")
        let read = try SecretReference.contents(of: file.descriptor, "key.pem")
        #expect(read == text)
        #expect(try PrivateKey(pem: read, "key.pem").publicKeyDER == key.publicKeyDER)
        let error = #expect(throws: OpenSSLError.self) {
            try PrivateKey(pem: SecretReference(copying: Array("no key".utf8)), "such.pem")
        }
        #expect(error?.description.contains("such.pem") == true)
    }

    @Test func `replaces its file whole and leaves nothing else in the folder`() throws {
        let folder = try temporaryDirectory()
        let path = try folder.write("old", to: "key.pem")
        chmod(path, 0o644)
        let key = try PrivateKey.generate(.ecP256)
        try key.writePEM(to: path)
        #expect(mode(path) == 0o600)
        #expect(try PrivateKey(pemFile: path).publicKeyDER == key.publicKeyDER)
        #expect(try Subprocess.check("ls", ["-A", folder.path]) == "key.pem\n")
        #expect(throws: OpenSSLError.self) { try key.writePEM(to: folder.file("no/such/folder/key.pem")) }
        // A folder stands in the way of the rename: the temporary file is gone again.
        try Subprocess.check("mkdir", ["-p", folder.file("taken/inside")])
        #expect(throws: OpenSSLError.self) { try key.writePEM(to: folder.file("taken")) }
        #expect(try Subprocess.check("ls", ["-A", folder.path]) == "key.pem\ntaken\n")
    }

    @Test func `is not read from what is no plain key file, and never asks for a pass phrase`() throws {
        let folder = try temporaryDirectory()
        try folder.write("", to: "empty")
        try folder.write("garbage\n", to: "garbage")
        try folder.write([UInt8](repeating: 0x41, count: 70_000), to: "large")
        let encrypted = folder.file("encrypted")
        try Subprocess.check(
            "openssl",
            ["genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:secret", "-out", encrypted])
        for path in ["empty", "garbage", "large", "missing", "."].map(folder.file) + [encrypted, "/dev/null"] {
            let error = #expect(throws: OpenSSLError.self, "\(path)") { try PrivateKey(pemFile: path) }
            #expect(error?.description.contains(path) == true)
        }
    }

    @Test func `belongs to its certificate alone`() throws {
        let client = try Scenery.client
        let key = try PrivateKey(pemFile: client.keyPath)
        #expect(key.matches(try client.certificate()))
        #expect(!key.matches(try Scenery.server.certificate()))
        let error = #expect(throws: OpenSSLError.self) {
            try TLSIdentity(chain: [try Scenery.server.certificate()], key: key)
        }
        #expect(error?.description.contains("does not belong") == true)
        #expect(throws: OpenSSLError.self) { try TLSIdentity(chain: [], key: key) }
    }

    private func mode(_ path: String) -> UInt32 {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }
}

@Suite struct `A certificate request` {
    private func openssl(_ der: [UInt8], _ options: [String]) throws -> String {
        let folder = try temporaryDirectory()
        try folder.write(der, to: "request.der")
        let result = try Subprocess.run(
            "openssl", ["req", "-inform", "DER", "-in", folder.file("request.der"), "-noout"] + options)
        guard result.succeeded else { throw TestSupportError("\(result)") }
        return result.output + result.errors
    }

    @Test(arguments: KeyKind.allCases)
    func `says what was asked for, and openssl verifies it`(kind: KeyKind) throws {
        let der = try SigningRequest.make(
            key: try PrivateKey.generate(kind), commonName: "node-1, \"x\"=y", organization: "Zürich",
            dnsNames: ["a.example,DNS:evil", "b"],
            addresses: [[10, 0, 0, 1], hex("20010db8000000000000000000000001")],
            uris: ["spiffe://acme/a"], serverAuth: true, clientAuth: true)
        let text = try openssl(der, ["-verify", "-text", "-nameopt", "utf8,sep_multiline"])
        #expect(text.contains("verify OK"))
        #expect(text.contains("CN=node-1, \"x\"=y"))
        #expect(text.contains("O=Zürich"))
        // One name, comma and all: nothing of it is parsed as a second one.
        #expect(text.contains("DNS:a.example<ia5 string>") || text.contains("DNS:a.example,DNS:evil, DNS:b"))
        #expect(text.contains("IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1"))
        #expect(text.contains("URI:spiffe://acme/a"))
        #expect(text.contains("TLS Web Server Authentication, TLS Web Client Authentication"))
        #expect(text.contains("Digital Signature") && text.contains("Version: 1 (0x0)"))
        #expect(text.contains("Key Encipherment") == (kind == .rsa3072))
    }

    @Test func `asks for no more than it is told`() throws {
        let der = try SigningRequest.make(
            key: try PrivateKey.generate(.ecP256), commonName: "n", serverAuth: false, clientAuth: true)
        let text = try openssl(der, ["-text"])
        #expect(!text.contains("Alternative") && !text.contains("Server Authentication"))
        #expect(text.contains("TLS Web Client Authentication"))
    }

    @Test func `with a name that X.509 does not allow is an error`() throws {
        let key = try PrivateKey.generate(.ecP256)
        for name in [String(repeating: "x", count: 65), ""] {
            #expect(throws: OpenSSLError.self) {
                try SigningRequest.make(key: key, commonName: name, serverAuth: true, clientAuth: true)
            }
        }
    }

    @Test func `for renewal copies subject and alternative names byte for byte`() throws {
        let old = try Scenery.authority.issue(
            name: "node", organization: "Zürich", dnsNames: ["a.example"], addresses: ["10.0.0.1"],
            uris: ["spiffe://acme/a"], usage: [.client, .server]
        ).certificate()
        let der = try SigningRequest.renewing(old, key: try PrivateKey.generate(.ecP256))
        let names = try #require(old.subjectAlternativeNameDER)
        #expect(contains(der, old.subjectDER))
        #expect(contains(der, names))
        let text = try openssl(der, ["-verify", "-text"])
        #expect(text.contains("verify OK") && text.contains("Digital Signature"))
        #expect(text.contains("TLS Web Client Authentication, TLS Web Server Authentication"))
        #expect(!text.contains("CA:"))
    }

    private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        (0...(bytes.count - part.count)).contains { bytes[$0..<$0 + part.count].elementsEqual(part) }
    }
}
