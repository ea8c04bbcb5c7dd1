import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `An offline root` {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "offline-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try Shell.succeed([RunningPlane.program, "backup", "key", "--out", folder + "/key"])
        try body(folder)
    }

    @Test func `leaves a plane that issues, lists and serves, and comes back from its file`() throws {
        try withFolder { folder in
            let state = folder + "/state"
            let first = try RunningPlane()
            let root = first.state + "/authorities/root.key"
            let before = try Data(contentsOf: URL(fileURLWithPath: root))
            try first.verb("root", "offline", "--to", folder + "/root", "--recipient", folder + "/key.pub")
            #expect(!FileManager.default.fileExists(atPath: root))
            #expect(
                try first.failingVerb("root", "export", "--to", folder + "/again", "--recipient", folder + "/key.pub")
                    .standardError.contains("the root's key is offline since"))
            // One that starts without it.
            try Shell.succeed(["cp", "-a", first.state, state])
            let plane = try RunningPlane { try FileManager.default.moveItem(atPath: state, toPath: $0) }
            let node = try TestNode.enrolled(plane, "db-1")
            let chain = ["openssl", "verify", "-CAfile", plane.folder + "/root.pem", "-untrusted", node.chainFile]
            try Shell.succeed(chain + [node.certificateFile])
            try plane.verb("revoke", node.serial)
            let lists = try plane.call("GET", "/v1/clusters/alpha/crl")
            #expect(lists.status == 200)
            let text = try Shell.succeed(["openssl", "crl", "-inform", "DER", "-noout", "-text"], input: lists.body)
                .text
            #expect(text.contains(try node.serial))
            try check(plane, folder)
            try plane.verb("root", "online", folder + "/root", "--operator-key", folder + "/key")
            let back = try Data(contentsOf: URL(fileURLWithPath: plane.state + "/authorities/root.key"))
            #expect(back == before)
            try plane.verb("cluster", "create", "delta")
            let events = try plane.verb("journal", "-n", "50")
            for name in ["root.export", "root.offline", "root.online"] { #expect(events.contains(name), "\(events)") }
        }
    }

    /// What needs the root says so, and takes it.
    private func check(_ plane: RunningPlane, _ folder: String) throws {
        let given = ["--root-key", folder + "/root", "--operator-key", folder + "/key"]
        let verbs = [
            ["cluster", "create", "gamma"], ["desired", "rotate-key", "--cluster", "alpha"], ["rotate-ca", "start"],
        ]
        for words in verbs {
            let refused = try Shell.run([RunningPlane.program] + words + ["--state", plane.state])
            #expect(
                refused.status == 1 && refused.standardError.contains("--root-key FILE"), "\(refused.standardError)")
            let sealed = try Shell.run(
                [RunningPlane.program] + words + ["--state", plane.state, "--root-key", folder + "/root"])
            #expect(sealed.standardError.contains("--operator-key"), "\(sealed.standardError)")
            try Shell.succeed([RunningPlane.program] + words + ["--state", plane.state] + given)
        }
        let busy = try plane.failingVerb("root", "offline", "--to", folder + "/b", "--recipient", folder + "/key.pub")
        #expect(busy.standardError.contains("offline"), "\(busy.standardError)")
        try Shell.succeed([RunningPlane.program, "rotate-ca", "rollback", "--state", plane.state] + given)
        let node = try TestNode.enrolled(plane, cluster: "gamma", "db-9")
        #expect(try plane.call("POST", Keys.path, body: Data(#"{"backup":"b"}"#.utf8), as: node).status == 200)
    }

    @Test func `is one at last where its removal was cut off, and status says so until then`() throws {
        try withFolder { folder in
            let plane = try RunningPlane(clusters: ["alpha"])
            let root = plane.state + "/authorities/root.key"
            let words = ["--recipient", folder + "/key.pub"]
            try Shell.succeed(["cp", "-p", root, folder + "/left"])
            let said = try plane.verb("root", "offline", "--to", folder + "/first", words[0], words[1])
            #expect(said.contains("in \(plane.state) no more") && said.contains("backups"), "\(said)")
            let well = try plane.verb("status")
            #expect(well.contains("note: backups that were made before"), "\(well)")
            // As a crash between the note and the removal leaves it.
            try Shell.succeed(["cp", "-p", folder + "/left", root])
            let status = try plane.failingVerb("status")
            #expect(status.text.contains("is offline, but its key is still in \(root)"), "\(status.text)")
            let exists = try plane.failingVerb("root", "offline", "--to", folder + "/first", words[0], words[1])
            #expect(exists.standardError.contains("exists") && FileManager.default.fileExists(atPath: root))
            try plane.verb("root", "offline", "--to", folder + "/second", words[0], words[1])
            #expect(!FileManager.default.fileExists(atPath: root))
            try plane.verb("status")
            let again = try plane.failingVerb("root", "offline", "--to", folder + "/third", words[0], words[1])
            #expect(again.standardError.contains("the root's key is offline since"))
            #expect(!FileManager.default.fileExists(atPath: folder + "/third"))
            try plane.verb("root", "online", folder + "/second", "--operator-key", folder + "/key")
            let (back, left) = try (
                Data(contentsOf: URL(fileURLWithPath: root)), Data(contentsOf: URL(fileURLWithPath: folder + "/left"))
            )
            #expect(back == left)
        }
    }

    @Test func `revokes an authority with the key that is brought, and takes no other for it`() throws {
        try withFolder { folder in
            let plane = try RunningPlane(clusters: ["alpha"])
            let words = ["--recipient", folder + "/key.pub"]
            try plane.verb("root", "offline", "--to", folder + "/root", words[0], words[1])
            let other = try RunningPlane(clusters: [])
            try other.verb("root", "export", "--to", folder + "/other", words[0], words[1])
            let list = try plane.verb("cluster", "list", "--json")
            let serial = try #require(list.firstMatch(of: /"authorities":\["([0-9A-F]+)"/)).output.1
            let wrong = try plane.failingVerb(
                "revoke", String(serial), "--root-key", folder + "/other", "--operator-key", folder + "/key")
            #expect(wrong.standardError.contains("is not that key"), "\(wrong.standardError)")
            let lists = try plane.call("GET", "/v1/clusters/alpha/crl").body
            try plane.verb("revoke", String(serial), "--root-key", folder + "/root", "--operator-key", folder + "/key")
            let after = try plane.call("GET", "/v1/clusters/alpha/crl")
            #expect(after.status == 200 && after.body.count > lists.count)
            let notTheKey = try plane.failingVerb(
                "root", "online", folder + "/other", "--operator-key", folder + "/key")
            #expect(notTheKey.standardError.contains("is not the key of its certificate"))
        }
    }
}
