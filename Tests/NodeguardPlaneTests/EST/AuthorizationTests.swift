import Foundation
import PlaneAPI
import Testing

/// One request that must not be granted, and why.
struct Forbidden: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var label = "alpha.database"
    var subject = "/O=alpha/CN=db-1"
    var extensions: [String] = []
    let status: Int
    let reason: String
}

@Suite struct `The plane issues only what it was told` {
    static let requests = [
        Forbidden(
            testDescription: "another node's name as subject", subject: "/CN=db-2", status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "another node's DNS name", extensions: ["subjectAltName=DNS:db-2.example"], status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "an allowed name and a foreign one",
            extensions: ["subjectAltName=DNS:db-1.example,DNS:evil"],
            status: 403, reason: "name-not-allowed"),
        Forbidden(
            testDescription: "an allowed name in other letters", extensions: ["subjectAltName=DNS:DB-1.example"],
            status: 403, reason: "name-not-allowed"),
        Forbidden(
            testDescription: "a wildcard", extensions: ["subjectAltName=DNS:*.example"], status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "a foreign address", extensions: ["subjectAltName=IP:10.0.0.9"], status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "an allowed address as a DNS name", extensions: ["subjectAltName=DNS:127.0.0.1"],
            status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "an application's URI", extensions: ["subjectAltName=URI:spiffe://alpha/app/shop"],
            status: 403, reason: "name-not-allowed"),
        Forbidden(
            testDescription: "an email address", extensions: ["subjectAltName=email:root@example.com"], status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "another cluster as organization", subject: "/O=beta/CN=db-1", status: 403,
            reason: "name-not-allowed"),
        Forbidden(
            testDescription: "a country", subject: "/C=DE/CN=db-1", status: 403, reason: "name-not-allowed"),
        Forbidden(
            testDescription: "CA:TRUE", extensions: ["basicConstraints=critical,CA:TRUE"], status: 403,
            reason: "authority-not-allowed"),
        Forbidden(
            testDescription: "a key usage that signs certificates",
            extensions: ["keyUsage=digitalSignature,keyCertSign"],
            status: 403, reason: "usage-not-allowed"),
        Forbidden(
            testDescription: "a usage that the role has not", extensions: ["extendedKeyUsage=clientAuth"], status: 403,
            reason: "usage-not-allowed"),
        Forbidden(
            testDescription: "code signing", extensions: ["extendedKeyUsage=codeSigning"], status: 403,
            reason: "usage-not-allowed"),
        Forbidden(
            testDescription: "any extended key usage", extensions: ["extendedKeyUsage=anyExtendedKeyUsage"],
            status: 403,
            reason: "usage-not-allowed"),
        Forbidden(
            testDescription: "an unknown extension", extensions: ["1.2.3.4.5=ASN1:UTF8String:hello"], status: 403,
            reason: "extension-not-allowed"),
        Forbidden(
            testDescription: "name constraints", extensions: ["nameConstraints=permitted;DNS:example"], status: 403,
            reason: "extension-not-allowed"),
        Forbidden(testDescription: "a role of nobody", label: "alpha.replica", status: 403, reason: "role-not-allowed"),
        Forbidden(
            testDescription: "another cluster's node label", label: "beta", status: 403, reason: "cluster-not-allowed"),
        Forbidden(
            testDescription: "another cluster's role", label: "beta.database", status: 403,
            reason: "cluster-not-allowed"),
        Forbidden(
            testDescription: "a cluster that is not there", label: "gamma", status: 403, reason: "cluster-not-allowed"),
        Forbidden(
            testDescription: "more names on the node identity", label: "alpha",
            extensions: ["subjectAltName=DNS:db-1.example"],
            status: 403, reason: "name-not-allowed"),
    ]

    /// One plane and one node for the whole table.
    @Test func `of all that a node may ask for`() throws {
        let plane = try RunningPlane()
        for (cluster, node) in [("alpha", "db-1"), ("beta", "db-1"), ("alpha", "db-2")] {
            try plane.verb(
                "role", "allow", "--cluster", cluster, "--node", node, "--role", "database", "--dns", "\(node).example",
                "--ip", "127.0.0.1", "--usage", "server")
        }
        let node = try TestNode.enrolled(plane, "db-1")
        for request in Self.requests {
            let answer = try node.enroll(
                node.request(subject: request.subject, extensions: request.extensions), label: request.label, as: node)
            #expect(answer.status == request.status, "\(request.testDescription): \(answer.text)")
            #expect(answer.reason == request.reason, "\(request.testDescription): \(answer.text)")
        }
        let journal = try plane.verb("journal", "-n", "100")
        for reason in Set(Self.requests.map(\.reason)) { #expect(journal.contains(reason)) }
        let allowed = try node.enroll(
            node.request(extensions: ["subjectAltName=DNS:db-1.example"]), label: "alpha.database", as: node)
        #expect(allowed.status == 200, "\(allowed.text)")
    }

    @Test func `to whom shows a token that is known, in time, unspent and of this cluster`() throws {
        let plane = try RunningPlane()
        let node = try TestNode(plane, "db-1")
        let request = try node.request()
        let none = try node.enroll(request)
        #expect(none.status == 401 && none.reason == "credentials-required")
        #expect(none.headers.lowercased().contains("www-authenticate: basic"))
        for token in ["", "nonsense", "a.b", String(repeating: "x", count: 5000)] {
            let answer = try node.enroll(request, token: token)
            #expect(answer.status == 401 && answer.reason == "token-unknown", "\(answer.status) \(answer.text)")
        }
        let good = try plane.bundle(node: "db-1").token
        let forged = String(good.dropLast()) + (good.hasSuffix("A") ? "E" : "A")
        #expect(try node.enroll(request, token: forged).reason == "token-unknown")
        let beta = try plane.bundle(cluster: "beta", node: "db-1").token
        #expect(try node.enroll(request, token: beta).reason == "cluster-not-allowed")
        #expect(try node.enroll(request, label: "alpha.database", token: good).reason == "role-not-allowed")
        let short = try plane.bundle(node: "db-1", ttl: "1s").token
        let deadline = Date().addingTimeInterval(10)
        var last: RunningPlane.Answer
        repeat {
            last = try TestNode(plane, "db-1").enroll(token: short)
        } while last.reason == "token-spent" && Date() < deadline
        #expect(last.reason == "token-expired" || last.status == 200)
        #expect(try waitForExpiry(plane, short) == "token-expired")
        #expect(try node.enroll(request, token: good).status == 200)
    }

    private func waitForExpiry(_ plane: RunningPlane, _ token: String) throws -> String? {
        let deadline = Date().addingTimeInterval(10)
        while Date() < deadline {
            let reason = try TestNode(plane, "db-1").enroll(token: token).reason
            if reason == "token-expired" { return reason }
        }
        return nil
    }

    @Test func `for a request that nobody changed on its way`() throws {
        let plane = try RunningPlane()
        let node = try TestNode(plane, "db-1")
        let token = try plane.bundle(node: "db-1").token
        let request = try node.request()
        for offset in stride(from: 8, to: request.count, by: 23) {
            var tampered = request
            tampered[offset] ^= 0x01
            let answer = try node.enroll(tampered, token: token)
            #expect([400, 403].contains(answer.status), "byte \(offset): \(answer.status) \(answer.text)")
        }
        for body in [Data(), Data("%%%".utf8), Data([0x30]), request.dropLast(), request + [0]] {
            #expect(try node.enroll(body, token: token).status == 400)
        }
        let path = EST.path(label: "alpha", operation: .enroll)
        let typed = try plane.call("POST", path, body: request.base64EncodedData(), type: "text/plain", token: token)
        #expect(typed.status == 415)
        let huge = try plane.call(
            "POST", path, body: Data(repeating: 0x41, count: 100_000), type: "application/pkcs10", token: token)
        #expect(huge.status == 413)
        #expect(try node.enroll(request, token: token).status == 200)
    }

    @Test func `and takes no role or application certificate for a node identity`() throws {
        let plane = try RunningPlane()
        try plane.verb(
            "role", "allow", "--cluster", "alpha", "--node", "db-1", "--role", "database", "--usage", "client")
        let node = try TestNode.enrolled(plane, "db-1")
        let role = try TestNode(plane, "db-1")
        try role.keep(role.enroll(role.request(extensions: []), label: "alpha.database", as: node))
        let asRole = try plane.call("POST", "/v1/keys", body: Data(#"{"backup":"x"}"#.utf8), as: role)
        #expect(asRole.status == 403 && asRole.reason == "not-a-node-identity")
        try plane.verb("client-certificate", "--cluster", "alpha", "--name", "db-1", "--out", plane.folder + "/app")
        let app = try plane.call(
            "POST", "/v1/keys", body: Data(#"{"backup":"x"}"#.utf8), as: nil,
            ["--cert", plane.folder + "/app/client.crt", "--key", plane.folder + "/app/client.key"])
        #expect(app.status == 403 && app.reason == "not-a-node-identity")
    }

    @Test func `and nothing to a certificate of a foreign authority, which fails in the handshake`() throws {
        let plane = try RunningPlane()
        let node = try TestNode(plane, "db-1")
        try Shell.succeed([
            "openssl", "req", "-x509", "-new", "-key", node.keyFile, "-subj", "/CN=db-1", "-days", "1", "-out",
            node.chainFile,
        ])
        #expect(try plane.call("POST", "/v1/keys", body: Data(#"{"backup":"x"}"#.utf8), as: node).status == 0)
    }
}
