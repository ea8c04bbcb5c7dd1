import Foundation
import PlaneAPI
import Testing

@Suite struct `A revoked node identity` {
    @Test func `is refused on every call at once, by a plane that runs`() throws {
        let plane = try RunningPlane()
        try plane.verb(
            "role", "allow", "--cluster", "alpha", "--node", "db-1", "--role", "database", "--usage", "client")
        let node = try TestNode.enrolled(plane, "db-1")
        var log = AuditLogFixture()
        log.append(1)
        #expect(try log.register(plane, as: node).status == 204)
        let key: CreatedKey = try plane.call(
            "POST", Keys.path, body: Data(#"{"backup":"base"}"#.utf8), as: node
        ).decode()
        let unwrapping = try JSONEncoder.plane.encode(
            KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "restore"))
        let next = try TestNode(plane, "db-1")
        let calls: [(String, () throws -> RunningPlane.Answer)] = [
            ("simpleenroll", { try next.enroll(as: node) }),
            ("simplereenroll", { try next.enroll(as: node, operation: .reenroll) }),
            ("role", { try next.enroll(next.request(extensions: []), label: "alpha.database", as: node) }),
            ("simpleenroll with a new token", { try next.enroll(token: plane.bundle(node: "db-1").token, as: node) }),
            ("key creation", { try plane.call("POST", Keys.path, body: Data(#"{"backup":"b"}"#.utf8), as: node) }),
            ("unwrap", { try plane.call("POST", Keys.unwrapPath(id: key.id), body: unwrapping, as: node) }),
            ("audit key", { try log.register(plane, as: node) }),
            ("audit batch", { try log.send(1...1, to: plane, as: node) }),
            ("deletion", { try plane.call("POST", Keys.deletionPath(id: key.id), as: node) }),
        ]
        for (name, call) in calls {
            let answer = try call()
            #expect((200...204).contains(answer.status), "\(name) before: \(answer.text)")
        }
        let serial = try node.serial
        let colons = stride(from: 0, to: serial.count, by: 2).map { String(serial.dropFirst($0).prefix(2)) }
        let told = try plane.verb("revoke", colons.joined(separator: ":").lowercased())
        #expect(told.contains(" https://127.0.0.1:") && told.contains("/v1/clusters/alpha/crl"), "\(told)")
        #expect(told.contains("crl: [cluster]"), "where it is refused: \(told)")
        for (name, call) in calls {
            let answer = try call()
            #expect(answer.status == 403 && answer.reason == "revoked", "\(name): \(answer.status) \(answer.text)")
        }
        #expect(try plane.call("GET", "/.well-known/est/alpha/cacerts", as: node).status == 200)
        #expect(try plane.failingVerb("revoke", serial).standardError.contains("no certificate"))
        try checkList(plane, node, serial: serial)
    }

    /// The list as OpenSSL reads and applies it.
    private func checkList(_ plane: RunningPlane, _ node: TestNode, serial: String) throws {
        let list = try plane.call("GET", "/v1/clusters/alpha/crl", as: node)
        #expect(list.status == 200 && list.headers.contains("application/pkix-crl"))
        let file = plane.folder + "/list.pem"
        let read = try Shell.succeed(
            ["openssl", "crl", "-inform", "DER", "-noout", "-text", "-CAfile", node.chainFile], input: list.body)
        #expect(read.standardError.contains("verify OK") && read.text.contains("Serial Number: \(serial)"))
        try Shell.succeed(["openssl", "crl", "-inform", "DER", "-out", file], input: list.body)
        let check = [
            "openssl", "verify", "-crl_check", "-CRLfile", file, "-CAfile", plane.folder + "/root.pem", "-untrusted",
            node.chainFile,
        ]
        let revoked = try Shell.run(check + [node.certificateFile])
        #expect(revoked.status != 0 && revoked.standardError.contains("certificate revoked"))
        let good = try TestNode.enrolled(plane, "db-3")
        try Shell.succeed(check + [good.certificateFile])
        #expect(try plane.call("GET", "/v1/clusters/gamma/crl").status == 404)
    }

    @Test func `and the one of a removed node; a new invitation lets it in again`() throws {
        let plane = try RunningPlane()
        let node = try TestNode.enrolled(plane, "db-1")
        let unused = try plane.bundle(node: "db-1").token
        #expect(try plane.verb("nodes").contains("enrolled"))
        try plane.verb("node", "remove", "db-1", "--cluster", "alpha")
        let answer = try plane.call("POST", Keys.path, body: Data(#"{"backup":"b"}"#.utf8), as: node)
        #expect(answer.status == 403 && answer.reason == "revoked")
        #expect(try TestNode(plane, "db-1").enroll(token: unused).reason == "token-unknown")
        #expect(try TestNode.enrolled(plane, "db-1").serial != node.serial)
        #expect(try plane.failingVerb("node", "remove", "db-9", "--cluster", "alpha").standardError.contains("no node"))
    }
}
