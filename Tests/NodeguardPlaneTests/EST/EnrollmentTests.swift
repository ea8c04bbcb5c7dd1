import Crypto
import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `Enrollment` {
    let plane: RunningPlane

    init() throws { plane = try RunningPlane() }

    @Test func `gives the authorities as certs-only PKCS7 that OpenSSL reads, the pinned root among them`() throws {
        let answer = try plane.call("GET", "/.well-known/est/alpha/cacerts")
        #expect(answer.status == 200)
        #expect(answer.headers.lowercased().contains("content-type: application/pkcs7-mime; smime-type=certs-only"))
        let lines = answer.text.split(separator: "\r\n", omittingEmptySubsequences: false)
        #expect(lines.allSatisfy { $0.utf8.count <= 76 } && lines.last == "")
        let der = try #require(Data(base64Encoded: answer.body, options: .ignoreUnknownCharacters))
        let text = try Shell.succeed(["openssl", "pkcs7", "-inform", "DER", "-print_certs"], input: der).text
        #expect(text.components(separatedBy: "BEGIN CERTIFICATE").count == 3)
        let spki = try Shell.succeed(
            ["sh", "-c", "openssl x509 -in root.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"],
            in: plane.folder
        ).text.prefix(64)
        #expect(try plane.bundle(node: "db-1").pins == ["sha256:\(spki)"])
        #expect(text.contains(try Shell.succeed(["openssl", "x509", "-in", plane.folder + "/root.pem"]).line))
    }

    @Test func `issues a node identity that OpenSSL verifies strictly, for the client side only`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        let verify = ["openssl", "verify", "-x509_strict", "-CAfile", plane.folder + "/root.pem"]
        try Shell.succeed(verify + ["-purpose", "sslclient", "-untrusted", node.chainFile, node.certificateFile])
        let asServer = try Shell.run(
            verify + ["-purpose", "sslserver", "-untrusted", node.chainFile, node.certificateFile])
        #expect(asServer.status != 0)
        #expect(try node.field("-subject", "-nameopt", "RFC2253") == "subject=CN=db-1,O=alpha")
        let names = try node.field("-ext", "subjectAltName")
        #expect(names.contains("DNS:db-1, URI:spiffe://alpha/node/db-1"))
        #expect(try node.field("-ext", "basicConstraints").contains("CA:FALSE"))
        #expect(try node.serial.count == 32)
        let key = try Shell.succeed(["openssl", "pkey", "-in", node.keyFile, "-pubout"]).text
        #expect(try Shell.succeed(["openssl", "x509", "-in", node.certificateFile, "-noout", "-pubkey"]).text == key)
    }

    @Test(arguments: [TestNode.KeyKind.p256, .p384, .rsa3072])
    func `takes the keys of the contract`(kind: TestNode.KeyKind) throws {
        let node = try TestNode(plane, "db-1", keyKind: kind)
        #expect(try node.enroll(token: plane.bundle(node: "db-1").token).status == 200)
    }

    @Test(arguments: [TestNode.KeyKind.p521, .rsa2048, .ed25519])
    func `refuses other keys`(kind: TestNode.KeyKind) throws {
        let node = try TestNode(plane, "db-1", keyKind: kind)
        let answer = try node.enroll(token: plane.bundle(node: "db-1").token)
        #expect(answer.status == 400 && answer.reason == "key-not-allowed", "\(answer.text)")
    }

    @Test func `fills in the subject when the request has none`() throws {
        let node = try TestNode(plane, "db-1")
        try node.keep(
            node.enroll(node.request(subject: "/", extensions: []), token: plane.bundle(node: "db-1").token))
        #expect(try node.field("-subject", "-nameopt", "RFC2253") == "subject=CN=db-1,O=alpha")
    }

    @Test func `answers a lost answer again, to the same key only`() throws {
        let token = try plane.bundle(node: "db-1").token
        let node = try TestNode(plane, "db-1")
        let first = try node.enroll(token: token)
        let again = try node.enroll(token: token)
        #expect(first.status == 200 && again.status == 200)
        #expect(first.body == again.body)
        let thief = try TestNode(plane, "db-1").enroll(token: token)
        #expect(thief.status == 401 && thief.reason == "token-spent")
    }

    @Test func `does not spend a token on a refused request`() throws {
        let token = try plane.bundle(node: "db-1").token
        let node = try TestNode(plane, "db-1")
        #expect(try node.enroll(node.request(subject: "/CN=db-2"), token: token).status == 403)
        #expect(try TestNode(plane, "db-1").enroll(token: token).status == 200)
    }

    @Test func `renews with the same names under the node identity, with a new key`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        let next = try TestNode(plane, "db-1")
        let answer = try next.enroll(as: node, operation: .reenroll)
        #expect(answer.status == 200, "\(answer.text)")
        try next.keep(answer)
        #expect(try next.field("-subject") == node.field("-subject"))
        #expect(try next.serial != node.serial)
        let changed = try next.enroll(
            next.request(extensions: ["subjectAltName=DNS:db-1", "extendedKeyUsage=clientAuth"]), as: node,
            operation: .reenroll)
        #expect(changed.status == 403 && changed.reason == "names-changed")
        let other = try next.enroll(
            next.request(subject: "/CN=db-1"), as: node, operation: .reenroll)
        #expect(other.status == 403 && other.reason == "subject-changed")
        let nobody = try next.enroll(operation: .reenroll)
        #expect(nobody.status == 401 && nobody.reason == "identity-required")
    }

    @Test func `certifies a role for what the operator allowed, and as long`() throws {
        try plane.verb(
            "role", "allow", "--cluster", "alpha", "--node", "db-1", "--role", "database", "--dns", "db-1.example",
            "--dns", "localhost", "--ip", "127.0.0.1", "--ip", "::1", "--uri", "spiffe://alpha/db/1", "--usage",
            "server,client", "--lifetime", "600")
        let node = try TestNode.enrolled(plane, "db-1")
        let role = try TestNode(plane, "db-1")
        let request = try role.request(
            subject: "/CN=db-1.example",
            extensions: [
                "subjectAltName=DNS:db-1.example,DNS:localhost,IP:127.0.0.1,IP:::1,URI:spiffe://alpha/db/1",
                "extendedKeyUsage=serverAuth,clientAuth", "keyUsage=digitalSignature",
            ])
        let answer = try role.enroll(request, label: "alpha.database", as: node)
        #expect(answer.status == 200, "\(answer.text)")
        try role.keep(answer)
        try Shell.succeed([
            "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "db-1.example", "-CAfile",
            plane.folder + "/root.pem", "-untrusted", role.chainFile, role.certificateFile,
        ])
        #expect(try role.field("-ext", "subjectAltName").contains("IP Address:0:0:0:0:0:0:0:1"))
        #expect(
            try Shell.run(["openssl", "x509", "-in", role.certificateFile, "-noout", "-checkend", "500"]).status == 0)
        #expect(
            try Shell.run(["openssl", "x509", "-in", role.certificateFile, "-noout", "-checkend", "700"]).status == 1)
    }

    @Test func `has no wishes, no server-made keys and no unknown labels`() throws {
        #expect(try plane.call("GET", "/.well-known/est/alpha/csrattrs").status == 204)
        #expect(try plane.call("POST", "/.well-known/est/alpha/serverkeygen", body: Data("x".utf8)).status == 404)
        #expect(try plane.call("GET", "/.well-known/est/gamma/cacerts").status == 404)
        #expect(try plane.call("GET", "/.well-known/est/alpha/fullcmc").status == 404)
    }

    @Test func `writes no token into its log or journal`() throws {
        let token = try plane.bundle(node: "db-1").token
        _ = try TestNode(plane, "db-1").enroll(token: token)
        _ = try TestNode(plane, "db-1").enroll(token: token)
        let secret = String(token.split(separator: ".")[1])
        #expect(!plane.log.contains(secret))
        #expect(try !plane.verb("journal", "-n", "100", "--json").contains(secret))
        let raw = try #require(Base64URL.decode(secret))
        let digest = Data(SHA256.hash(data: raw))
        let stored = try TestStore.contents(plane.state)
        let isFound = { (bytes: Data) in
            stored.contains { $0.range(of: bytes) != nil || $0.range(of: Data(Hex.lower(bytes).utf8)) != nil }
        }
        #expect(isFound(digest) && !isFound(Data(secret.utf8)) && !isFound(raw))
    }
}
