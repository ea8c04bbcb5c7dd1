import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `The plane's own log` {
    let plane: RunningPlane

    init() throws { plane = try RunningPlane() }

    private func events() throws -> [CanonicalJSON] {
        try plane.verb("audit", "tail", "--plane", "-n", "1000", "--json").split(separator: "\n")
            .map { try CanonicalJSON(Array($0.utf8)) }
    }

    @Test func `has every token, role, certificate, revocation and key, with who it was`() throws {
        let node = try TestNode.enrolled(plane, "db-1")
        let role = ["--node", "db-1", "--role", "database", "--dns", "db-1.example", "--dns", "é\"\\.example"]
        _ = try plane.failingVerb(
            "role", "allow", "--cluster", "alpha", role[0], role[1], role[2], role[3], role[6], role[7])
        try plane.verb("role", "allow", "--cluster", "alpha", role[0], role[1], role[2], role[3], role[4], role[5])
        try node.keep(try node.enroll(as: node, operation: .reenroll))
        let out = plane.folder + "/shop"
        try plane.verb("client-certificate", "--cluster", "alpha", "--name", "shop \"1\"", "--uri", "x:y", "--out", out)
        let wish = try JSONEncoder.plane.encode(KeyCreation(backup: "base\u{7F}é\\"))
        let key = try plane.call("POST", Keys.path, body: wish, as: node).decode(CreatedKey.self)
        let unwrap = try JSONEncoder.plane.encode(
            KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "restore\u{1}\n of db-1"))
        try #require(try plane.call("POST", Keys.unwrapPath(id: key.id), body: unwrap, as: node).status == 200)
        _ = try plane.call("POST", Keys.deletionPath(id: key.id), as: node)
        let log = AuditLogFixture()
        _ = try log.register(plane, as: node)
        _ = try plane.call("GET", RevocationLists.path(cluster: "alpha"))
        let serial = try node.serial
        try plane.verb("revoke", serial)
        try plane.verb("node", "remove", "db-1", "--cluster", "alpha")

        let events = try events()
        #expect(
            events.compactMap { $0["name"]?.text } == [
                "plane.begin", "cluster.create", "cluster.create", "token.create", "certificate.issue", "token.spend",
                "role.allow", "certificate.renew", "client-certificate.issue", "key.create", "key.unwrap",
                "key.deletion", "audit.key", "crl.issue", "crl.issue", "certificate.revoke", "node.remove",
            ])
        #expect(events.map { $0["seq"]?.integer } == (1...17).map { Int64($0) })
        let person = Operator.current
        let byPeople: Set = [
            "cluster.create", "token.create", "role.allow", "client-certificate.issue", "certificate.revoke",
            "node.remove",
        ]
        for event in events where byPeople.contains(event["name"]?.text ?? "") {
            #expect(event["fields"]?["operator"]?.text == person.name && event["fields"]?["uid"]?.integer == person.uid)
        }
        let opened = try #require(events.first { $0["name"]?.text == "key.unwrap" })
        #expect(opened["fields"]?["detail"]?.text == "key \(key.id), reason: restore\u{1}\n of db-1")
        #expect(opened["fields"]?["node"]?.text == "db-1" && opened["fields"]?["serial"]?.text == serial)
        #expect(opened["fields"]?["by"]?.text == "node" && opened["outcome"]?.text == "granted")
        let text = try plane.verb("audit", "export", "--plane")
        for secret in [key.key, key.wrapped] { #expect(!text.contains(secret.base64EncodedString())) }
        #expect(try plane.verb("audit", "verify").contains("intact: 17 events in the plane's own log; sequence"))
    }

    @Test func `names who called sudo, and nobody whom only the environment names`() throws {
        #expect(Operator(uid: 0, sudoUser: "alice") == Operator(uid: 0, sudoUser: "alice"))
        #expect(Operator(uid: 0, sudoUser: "alice").name == "alice" && Operator(uid: 0, sudoUser: nil).name == "root")
        #expect(Operator(uid: 65534, sudoUser: "alice").name == "nobody")
        #expect(Operator(uid: 4_000_000_000, sudoUser: "alice").name == "uid 4000000000")
        try Shell.succeed([
            "env", "SUDO_USER=alice", RunningPlane.program, "cluster", "create", "gamma", "--state", plane.state,
        ])
        let expected = Operator(uid: getuid(), sudoUser: "alice").name
        #expect(try events().last?["fields"]?["operator"]?.text == expected)
    }

    @Test func `records nothing of what was not done`() throws {
        let before = try events().count
        _ = try plane.failingVerb("cluster", "create", "alpha")
        _ = try plane.failingVerb("revoke", "00")
        _ = try plane.failingVerb("node", "remove", "db-9", "--cluster", "alpha")
        #expect(try events().count == before)
        // And nothing is done that is not recorded: the log's head is gone.
        try TestStore.change(plane.state, "DELETE FROM plane_log")
        let output = try plane.failingVerb("cluster", "create", "gamma")
        #expect(output.standardError.contains("the head of the plane's own audit log is missing"))
        #expect(try !plane.verb("cluster", "list").contains("gamma"))
        let node = try TestNode(plane, "db-1")
        #expect(try node.enroll(token: "a.b").status == 401)
    }

    @Test func `is exported with a checkpoint and a cosignature, of the keys that the plane names`() throws {
        let export = try plane.verb("audit", "export", "--plane")
        let parts = export.components(separatedBy: "\n\n")
        try #require(parts.count == 3)
        let lines = parts[0].split(separator: "\n").map(String.init)
        let note = try SignedNote(Array((parts[1] + "\n\n" + parts[2] + "\n").utf8))
        let checkpoint = try Checkpoint(note.text)
        #expect(checkpoint.size == 3 && Data(checkpoint.root) == AuditLogFixture.root(lines))
        #expect(checkpoint.origin.hasPrefix("nodeguard-plane/") && note.signatures.count == 2)
        let state = try PlaneState.open(plane.state)
        #expect(state.witness.isSigned(note) && checkpoint.origin == state.witness.name)
        let keys = try plane.verb("audit", "keys", "--plane").split(separator: "\n").map(String.init)
        #expect(keys == [state.witness.logVerifierKey, state.witness.verifierKey])
        #expect(try plane.verb("audit", "list").contains("the plane"))
        #expect(try plane.failingVerb("audit", "tail", "--plane", "--node", "x").standardError.contains("--plane"))
    }
}

@Suite struct `audit verify of the plane's own log` {
    let plane: RunningPlane

    init() throws {
        plane = try RunningPlane(clusters: ["a", "b", "c", "d", "e", "f", "g"])
    }

    @Test(arguments: [
        (
            "UPDATE plane_events SET event = CAST(replace(CAST(event AS TEXT), 'root', 'evil') AS BLOB) || x'20' "
                + "WHERE seq = 4", "event 4 was changed"
        ),
        ("UPDATE plane_events SET event = x'' WHERE seq = 8", "event 8 was changed"),
        ("UPDATE plane_events SET mark = x'00' WHERE seq = 2", "event 2 was changed"),
        ("DELETE FROM plane_events WHERE seq = 1", "event 1 is missing"),
        ("DELETE FROM plane_events WHERE seq = 5", "event 5 is missing"),
        ("DELETE FROM plane_events WHERE seq > 6", "event 7 is missing, and all after it up to 8"),
        ("DELETE FROM plane_events WHERE seq = 8; UPDATE plane_log SET size = 7", "event 8 is missing"),
        (
            "UPDATE plane_events SET seq = -3 WHERE seq = 3; UPDATE plane_events SET seq = 3 WHERE seq = 4; "
                + "UPDATE plane_events SET seq = 4 WHERE seq = -3",
            "another event of this log stands in the place of event 3"
        ),
        ("INSERT INTO plane_events SELECT 9, event, mark FROM plane_events WHERE seq = 8", "event 9 was added"),
        ("INSERT INTO plane_events SELECT 0, event, mark FROM plane_events WHERE seq = 8", "event 0 was added"),
        (
            "UPDATE plane_events SET event = (SELECT event FROM plane_events WHERE seq = 6), "
                + "mark = (SELECT mark FROM plane_events WHERE seq = 6) WHERE seq = 7",
            "another event of this log stands in the place of event 7"
        ),
        (
            "UPDATE plane_log SET checkpoint = replace(checkpoint, char(10) || '8', char(10) || '7')",
            "its checkpoint is missing, or not the one that this plane signed"
        ),
        ("UPDATE plane_log SET checkpoint = ''", "its checkpoint is missing"),
        ("DELETE FROM plane_log", "its checkpoint is missing"),
        ("UPDATE plane_log SET peaks = x'' || substr(peaks, 2) || x'00'", "the tree that it goes on from at event 9"),
    ])
    func `names by its number what was changed in the store`(sql: String, flaw: String) throws {
        #expect(try plane.verb("audit", "verify").contains("intact: 8 events in the plane's own log"))
        try TestStore.change(plane.state, sql)
        for words in [["audit", "verify"], ["audit", "verify", "--plane"]] {
            let output = try Shell.run([RunningPlane.program] + words + ["--state", plane.state])
            #expect(output.status == 1)
            #expect(output.line.hasPrefix("BROKEN: the plane's own log: \(flaw)"), "\(output.line)")
            #expect(output.line.split(separator: "\n").count == 1)
        }
        #expect(try plane.failingVerb("audit", "verify", "--json").text.contains(#""intact":false"#))
        // What nodes sent is another matter.
        #expect(try plane.verb("audit", "verify", "--cluster", "a").hasPrefix("intact: 0 events in 0 logs"))
    }
}
