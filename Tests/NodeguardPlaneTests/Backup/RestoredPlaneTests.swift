import Crypto
import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

/// A plane that was destroyed and restored, and nodes that saw what it did after the backup.
@Suite struct `A restored plane` {
    /// What nodes have when the plane is gone.
    private struct Lost {
        let folder: String
        let node: TestNode
        /// Of the same node, from after the backup.
        let renewed: TestNode
        let gone: TestNode
        let key: CreatedKey
        let log: AuditLogFixture
        let token: String
        let listFile: String
        let listNumber: Int64
        let client: String
    }

    private static func number(_ list: Data) throws -> Int64 {
        let text = try Shell.succeed(["openssl", "crl", "-inform", "DER", "-noout", "-crlnumber"], input: list).line
        return try #require(Int64(text.dropFirst("crlNumber=0x".count), radix: 16))
    }

    /// Backs up, goes on, and is gone with its folder.
    private func lose(in folder: String) throws -> Lost {
        let plane = try RunningPlane()
        let node = try TestNode.enrolled(plane, "db-1")
        let gone = try TestNode.enrolled(plane, "db-2")
        let key: CreatedKey = try plane.call(
            "POST", Keys.path, body: Data(#"{"backup":"base"}"#.utf8), as: node
        ).decode()
        var log = AuditLogFixture()
        log.append(9)
        #expect(try log.register(plane, as: node).status == 204)
        #expect(try log.send(1...3, to: plane, as: node).status == 200)
        try Data(#"{}"#.utf8).write(to: URL(fileURLWithPath: folder + "/desired"))
        try plane.verb("desired", "set", folder + "/desired", "--cluster", "alpha")
        let token = try plane.bundle(node: "db-3").token
        let recovery = RecoveryKey(publicKey: P256.Signing.PrivateKey().publicKey.derRepresentation)
        let body = try JSONEncoder.plane.encode(recovery)
        #expect(try plane.call("PUT", Recovery.path, body: body, as: node).status == 204)
        try Shell.succeed([RunningPlane.program, "backup", "key", "--out", folder + "/key"])
        let said = try plane.verb("backup", "--to", folder + "/backup", "--recipient", folder + "/key.pub")
        #expect(said.contains("event") && said.contains("sealed to sha256:"))

        let renewed = try TestNode(plane, "db-1")
        try renewed.keep(renewed.enroll(as: node, operation: .reenroll))
        #expect(try log.send(4...6, to: plane, as: renewed).status == 200)
        try plane.verb("desired", "set", folder + "/desired", "--cluster", "alpha")
        try plane.verb("revoke", gone.serial)
        let stolen = try TestNode(plane, "db-1")
        try stolen.keep(stolen.enroll(as: node, operation: .reenroll))
        try plane.verb("revoke", stolen.serial)
        let out = folder + "/client"
        let name = "spiffe://alpha/node/db-1"
        try plane.verb("client-certificate", "--cluster", "alpha", "--name", "db-1", "--uri", name, "--out", out)
        let list = try plane.call("GET", "/v1/clusters/alpha/crl", as: renewed).body
        try list.write(to: URL(fileURLWithPath: folder + "/cluster.crl"))
        // Its files outlive it.
        for file in [node, renewed, gone, stolen].flatMap({ [$0.keyFile, $0.certificateFile, $0.chainFile] }) {
            try Shell.succeed(["cp", "-p", file, folder])
        }
        plane.kill()
        return Lost(
            folder: folder, node: node, renewed: renewed, gone: stolen, key: key, log: log, token: token,
            listFile: folder + "/cluster.crl", listNumber: try Self.number(list), client: out)
    }

    private func withLost(_ body: (Lost, RunningPlane) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "lost-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lost = try lose(in: folder)
        let url = try TestStore.newDatabase()
        let plane = try RunningPlane { state in
            let words = ["restore", folder + "/backup", "--key", folder + "/key", "--lists", lost.listFile]
            let said = try Shell.succeed(
                [RunningPlane.program] + words + ["--state", state] + (url.map { ["--database", $0] } ?? []))
            #expect(said.text.contains("2 certificates are revoked"), "\(said.text)")
            #expect(said.text.contains("not signed anew by itself, in: alpha"), "\(said.text)")
        }
        try body(lost, plane)
    }

    /// The node's files as they were kept.
    private func kept(_ node: TestNode, _ lost: Lost) -> [String] {
        let place = { (path: String) in lost.folder + "/" + URL(fileURLWithPath: path).lastPathComponent }
        return ["--cert", place(node.chainFile), "--key", place(node.keyFile)]
    }

    @Test func `lets its nodes renew, ship and unwrap, with what they got after the backup too`() throws {
        try withLost { lost, plane in
            let unwrapping = try JSONEncoder.plane.encode(
                KeyUnwrapping(wrapped: lost.key.wrapped, kek: lost.key.kek, reason: "restore"))
            for node in [lost.node, lost.renewed] {
                let files = kept(node, lost)
                let next = try TestNode(plane, "db-1")
                let request = try next.request().base64EncodedData(options: .lineLength64Characters)
                let path = EST.path(label: "alpha", operation: .reenroll)
                let renewal = try plane.call("POST", path, body: request, type: "application/pkcs10", files)
                #expect(renewal.status == 200, "\(renewal.text)")
                try next.keep(renewal)
                let opened = try plane.call("POST", Keys.unwrapPath(id: lost.key.id), body: unwrapping, files)
                #expect(try opened.decode(UnwrappedKey.self).key == lost.key.key)
                let path2 = AuditBatches.path(epoch: lost.log.epoch, first: 7, last: 9)
                let gap = try plane.call(
                    "PUT", path2, body: lost.log.batch(7...9), type: AuditBatches.contentType, files)
                #expect(gap.status == 409)
                #expect(try gap.decode(AuditConflict.self) == AuditConflict(next: 4))
                var fresh = AuditLogFixture(epoch: lost.log.epoch + 1)
                fresh.append(2)
                try next.keep(renewal)
                _ = try fresh.register(plane, as: next)
            }
            let events = try plane.verb("journal", "-n", "100")
            #expect(events.components(separatedBy: "audit.gap").count == 2, "once: \(events)")
            #expect(events.contains("events 4 to 6 are lost") && events.contains("plane.restore"), "\(events)")
            #expect(events.components(separatedBy: "identity.adopt").count == 2, "\(events)")
            #expect(try plane.verb("audit", "verify", "--plane").hasPrefix("intact"))
        }
    }

    @Test func `refuses whom the lost plane had revoked, and takes nobody else for a node`() throws {
        try withLost { lost, plane in
            for (files, reason) in [
                (kept(lost.gone, lost), "revoked-or-unknown"),
                (["--cert", lost.client + "/client.crt", "--key", lost.client + "/client.key"], "identity-unknown"),
            ] {
                let answer = try plane.call("POST", Keys.path, body: Data(#"{"backup":"b"}"#.utf8), files)
                #expect(answer.status == 403, "\(reason): \(answer.text)")
            }
            let question = try JSONEncoder.plane.encode(RecoveryQuestion(cluster: "alpha", node: "db-1", uses: 0))
            #expect(try plane.call("POST", Recovery.challengePath, body: question).status == 423)
            let spent = try TestNode(plane, "db-3").enroll(token: lost.token)
            #expect(spent.status == 401 && spent.reason == "token-expired", "\(spent.text)")
            let list = try plane.call("GET", "/v1/clusters/alpha/crl", kept(lost.node, lost))
            let text = try Shell.succeed(["openssl", "crl", "-inform", "DER", "-noout", "-text"], input: list.body).text
            #expect(text.components(separatedBy: "Serial Number:").count == 3, "\(text)")
            #expect(try Self.number(list.body) > lost.listNumber)
            try plane.verb("desired", "rotate-key", "--cluster", "alpha")
            #expect(try plane.verb("desired", "show", "--cluster", "alpha").contains("version"))
        }
    }

    @Test func `is not made with the list of somebody else, nor without a word on lists`() throws {
        let folder = NSTemporaryDirectory() + "lost-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (plane, other) = (try RunningPlane(), try RunningPlane())
        try Shell.succeed([RunningPlane.program, "backup", "key", "--out", folder + "/key"])
        try plane.verb("backup", "--to", folder + "/backup", "--recipient", folder + "/key.pub")
        let foreign = try TestNode.enrolled(other, "db-1")
        try other.call("GET", "/v1/clusters/alpha/crl", as: foreign).body
            .write(to: URL(fileURLWithPath: folder + "/foreign.crl"))
        try Data([0x30, 0x03, 1, 2, 3]).write(to: URL(fileURLWithPath: folder + "/odd.crl"))
        for (words, expected) in [
            (["--lists", folder + "/foreign.crl"], "none of this plane's authorities has signed"),
            (["--lists", folder + "/odd.crl"], "something else than revocation lists in DER, at byte 0"),
            ([], "--without-lists"), (["--lists", folder + "/foreign.crl", "--without-lists"], "--without-lists"),
        ] {
            let output = try Shell.run(
                [RunningPlane.program, "restore", folder + "/backup", "--key", folder + "/key"] + words
                    + ["--state", folder + "/state"])
            #expect(output.status != 0 && output.standardError.contains(expected), "\(output.standardError)")
            #expect(!FileManager.default.fileExists(atPath: folder + "/state"))
        }
    }
}
