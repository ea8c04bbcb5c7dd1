import Foundation
import IO
import PlaneAPI
import TestSupport
import Testing

@testable import nodeguard_plane

private let takesItsTime = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"

/// The program with all its keys in SoftHSM.
@Suite struct `A plane whose keys are in a token` {
    private let place: TestTokens

    init() throws {
        place = try TestTokens()
        try place.make("plane")
    }

    private func plane(_ clusters: [String] = ["alpha"], store: TestStore? = nil) throws -> RunningPlane {
        try RunningPlane(clusters: clusters, store: store, hsm: place.store("plane"))
    }

    private func status(_ plane: RunningPlane) throws -> [String: Any] {
        let output = try Shell.run([RunningPlane.program, "status", "--json", "--state", plane.state])
        return try #require(try JSONSerialization.jsonObject(with: output.standardOutput) as? [String: Any])
    }

    /// `root in token`, sorted.
    private func keys(_ plane: RunningPlane) throws -> [String] {
        let keys = try #require(try status(plane)["keys"] as? [[String: Any]])
        return keys.map { "\($0["use"] ?? "") in \($0["place"] ?? "")" }.sorted()
    }

    private func health(_ plane: RunningPlane, _ query: String = "") throws -> RunningPlane.Answer {
        try plane.call("GET", "/v1/health" + query)
    }

    private func set(_ plane: RunningPlane) throws {
        try #"{"deny":[{"uri":"spiffe://alpha/app/x"}]}"#.write(
            toFile: plane.folder + "/desired", atomically: true, encoding: .utf8)
        try plane.verb("desired", "set", plane.folder + "/desired", "--cluster", "alpha")
    }

    private func key(_ plane: RunningPlane, as node: TestNode) throws -> RunningPlane.Answer {
        try plane.call("POST", Keys.path, body: JSONEncoder.plane.encode(KeyCreation(backup: "base")), as: node)
    }

    private func open(_ key: CreatedKey, _ plane: RunningPlane, as node: TestNode) throws -> RunningPlane.Answer {
        let wish = KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "restore")
        return try plane.call("POST", Keys.unwrapPath(id: key.id), body: JSONEncoder.plane.encode(wish), as: node)
    }

    private func crl(_ plane: RunningPlane) throws -> String {
        let lists = try plane.call("GET", "/v1/clusters/alpha/crl")
        try #require(lists.status == 200)
        return try Shell.succeed(["openssl", "crl", "-inform", "DER", "-noout", "-text"], input: lists.body).text
    }

    @Test func `does all that a plane does, and has no key that could be copied`() throws {
        let plane = try plane()
        let node = try TestNode.enrolled(plane, "db-1")
        #expect(try node.enroll(as: node, operation: .reenroll).status == 200)
        let made: CreatedKey = try key(plane, as: node).decode()
        #expect(made.kek.hasPrefix("hsm-1-"))
        #expect(try open(made, plane, as: node).decode(UnwrappedKey.self).key == made.key)
        let other = try TestNode.enrolled(plane, "db-2")
        try plane.verb("revoke", try other.serial)
        #expect(try crl(plane).contains(try other.serial))
        #expect(try key(plane, as: other).reason == "revoked")
        try set(plane)
        try plane.verb("rotate-ca", "start")
        try plane.verb("trust", "--out", plane.folder + "/root.pem")
        #expect(try plane.verb("rotate-ca", "status").contains("trusting"))
        let wanted = [
            "cluster in token", "cluster in token", "configuration in token", "root in token", "root in token",
            "witness in file", "wrapping in token",
        ]
        #expect(try keys(plane) == wanted)
        #expect(try status(plane)["keys_in"] as? String == "token")
        #expect(try health(plane).text == #"{"keys":"token","store":"reachable","token":"usable"}"#)
        #expect(try FileManager.default.contentsOfDirectory(atPath: plane.state + "/authorities") == [])
        #expect(!FileManager.default.fileExists(atPath: plane.state + "/wrapping.key"))

        let stolen = try place.steal()
        let labels = [
            "backup keys", "cluster alpha", "cluster alpha", "configuration alpha", "root", "root",
        ].map { "nodeguard-plane \($0):" }
        #expect(stolen.dropLast().sorted() == labels, "nothing worked on any key")
        #expect(try plane.verb("audit", "verify", "--plane").hasPrefix("intact: "))
        let journal = try plane.verb("journal", "-n", "50")
        #expect(journal.contains("hsm.begin") && !journal.contains(TestTokens.pin))
        #expect(!plane.log.contains(TestTokens.pin))
    }

    @Test func `refuses what it cannot sign while the token is away, says so, and goes on when it is back`() throws {
        let plane = try plane()
        let node = try TestNode.enrolled(plane, "db-1")
        let made: CreatedKey = try key(plane, as: node).decode()
        let invited = try TestNode(plane, "db-2")
        let token = try plane.bundle(node: "db-2").token
        try place.pull()
        let refused = try invited.enroll(token: token)
        #expect(refused.status == 503 && refused.reason == "keys-unavailable", "\(refused.text)")
        #expect(refused.headers.lowercased().contains("retry-after: 5"))
        #expect(!refused.text.contains(place.folder.path), "nobody outside is told where the token is")
        #expect(try open(made, plane, as: node).reason == "keys-unavailable")
        #expect(try key(plane, as: node).reason == "keys-unavailable")
        #expect(try health(plane).text.contains(#""token":"unreachable""#))
        #expect(try health(plane, "?keys").status == 503 && health(plane).status == 200)
        // What is signed already, and what nothing of the token is needed for, is answered.
        var log = AuditLogFixture()
        log.append(3)
        #expect(try log.register(plane, as: node).status == 204)
        #expect(try log.send(1...3, to: plane, as: node).status == 200)
        let verb = try plane.failingVerb("cluster", "create", "gamma")
        #expect(verb.standardError.contains("cannot be used (unreachable)"), "\(verb.standardError)")
        let told = try Shell.run([RunningPlane.program, "status", "--state", plane.state])
        #expect(told.status == 1 && told.text.contains("concern: the token is unreachable"), "\(told.text)")

        try place.putBack()
        #expect(try eventuallyBlocking(within: 60) { try health(plane, "?keys").status == 200 }, "\(plane.log)")
        #expect(try invited.enroll(token: token).status == 200, "the token was not spent")
        #expect(try open(made, plane, as: node).decode(UnwrappedKey.self).key == made.key)
        #expect(try plane.verb("cluster", "create", "gamma").contains("is made"))
        #expect(
            try eventuallyBlocking(within: 20) {
                let journal = try plane.verb("journal", "-n", "50")
                return ["refused  hsm.away  unreachable", "granted  hsm.back", "certificate.issue  keys-unavailable"]
                    .allSatisfy { journal.contains($0) }
            }, "\(plane.log)")
        #expect(try plane.verb("audit", "verify", "--plane").hasPrefix("intact: "))
    }

    /// `The plane's token` has a shorter one that always runs.
    @Test(.enabled(if: takesItsTime))
    func `is not held up for ever by a module that hangs, and ends with its processes`() throws {
        let plane = try plane()
        let node = try TestNode.enrolled(plane, "db-1")
        try place.hang()
        let clock = ContinuousClock()
        var answer: RunningPlane.Answer?
        let first = try clock.measure { answer = try node.enroll(as: node, operation: .reenroll) }
        #expect(answer?.reason == "keys-unavailable" && first < .seconds(19), "\(answer?.text ?? "")")
        #expect(try health(plane).text.contains(#""token":"silent""#))
        #expect(try plane.failingVerb("cluster", "create", "gamma").standardError.contains("(silent)"))
        try place.goOn()
        #expect(try eventuallyBlocking(within: 60) { try health(plane, "?keys").status == 200 }, "\(plane.log)")
        #expect(try node.enroll(as: node, operation: .reenroll).status == 200)
    }

    @Test func `does not start with a wrong PIN, and tries it once`() throws {
        let folder = try temporaryDirectory()
        try place.folder.write("000000\n", to: "pin")
        let words = [
            RunningPlane.program, "run", "--state", folder.file("state"), "--listen", "127.0.0.1:0", "--hsm",
            place.store("plane"),
        ]
        for _ in 0..<3 {
            let output = try Shell.run(words)
            #expect(output.status != 0 && output.standardError.contains("(pin-refused)"), "\(output.standardError)")
            #expect(!output.standardError.contains("000000"))
        }
        #expect(place.loginCount == 1)
        try place.folder.write(TestTokens.pin, to: "pin")
        try TestStore.prepare(folder.file("state"))
        let (process, _) = try RunningPlane.start(
            state: folder.file("state"), log: folder.file("log"), hsm: place.store("plane"))
        process.signal(SIGTERM)
        process.wait()
    }

    @Test func `that got its token later keeps each key where it was made, and says which`() throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let node = try TestNode.enrolled(plane, "db-1")
        let old: CreatedKey = try key(plane, as: node).decode()
        try set(plane)
        #expect(try status(plane)["keys_in"] as? String == "files")
        #expect(try health(plane).text == #"{"keys":"files","store":"reachable"}"#)
        #expect(try plane.verb("status").contains("note: the keys are files"))
        plane.kill()

        let log = plane.folder + "/log-2"
        let (process, url) = try RunningPlane.start(state: plane.state, log: log, hsm: place.store("plane"))
        defer {
            process.signal(SIGTERM)
            process.wait()
        }
        let said = try String(contentsOfFile: log, encoding: .utf8)
        for what in ["the root key is in", "the cluster key of alpha is in", "the configuration key of alpha is in"] {
            #expect(said.contains(what), "\(said)")
        }
        let before = [
            "cluster in file", "configuration in file", "root in file", "witness in file", "wrapping in file",
            "wrapping in token",
        ]
        #expect(try keys(plane) == before && status(plane)["keys_in"] as? String == "token and files")
        #expect(try node.enroll(at: RunningPlane(beside: plane), as: node, operation: .reenroll).status == 200)
        try plane.verb("desired", "rotate-key", "--cluster", "alpha")
        try plane.verb("cluster", "create", "beta")
        try plane.verb("rotate-ca", "start")
        let after = [
            "cluster in file", "cluster in token", "cluster in token", "cluster in token", "configuration in token",
            "root in file", "root in token", "witness in file", "wrapping in file", "wrapping in token",
        ]
        #expect(try keys(plane) == after)
        let state = try PlaneState.open(plane.state)
        #expect(state.wrapping.current.id.hasPrefix("hsm-1-") && state.wrapping.former?.id == old.kek)
        let context = KeyContext(cluster: "alpha", backup: "base", id: old.id)
        let salt = try state.database.read {
            try Data.fetchOne($0, sql: "SELECT salt FROM keys WHERE id = ?", arguments: [old.id])
        }
        let key = state.wrapping.named(old.kek)
        #expect(try key?.unwrap(Array(old.wrapped), salt: Array(#require(salt)), for: context) == Array(old.key))
        #expect(url.hasPrefix("https://"))

        // Without the file that names it, nothing goes on as if there were none.
        try FileManager.default.removeItem(atPath: plane.state + "/hsm")
        #expect(try plane.failingVerb("nodes").standardError.contains("are in a PKCS #11 token"))
        let stranger = try Shell.run(
            [
                RunningPlane.program, "run", "--state", plane.state, "--listen", "127.0.0.1:0", "--hsm",
                try strange(),
            ])
        #expect(stranger.status != 0 && stranger.standardError.contains("keys are not in"), "\(stranger.standardError)")
        #expect(!FileManager.default.fileExists(atPath: plane.state + "/hsm"))
    }

    @Test func `takes another way to the same token, and says so`() throws {
        let plane = try plane()
        plane.kill()
        try place.folder.write(TestTokens.pin, to: "pin-2")
        let uri = place.store("plane").replacing("/pin", with: "/pin-2")
        let (process, _) = try RunningPlane.start(state: plane.state, log: plane.folder + "/log-2", hsm: uri)
        process.signal(SIGTERM)
        process.wait()
        #expect(try String(contentsOfFile: plane.state + "/hsm", encoding: .utf8) == uri + "\n")
        #expect(try plane.verb("journal").contains("granted  hsm.move"))
    }

    /// Another token, which has none of the keys.
    private func strange() throws -> String {
        try place.make("strange")
        return place.store("strange")
    }

    @Test func `shares them with another plane over one database`() throws {
        let first = try plane(store: .postgresql(DatabaseServer.shared.get()))
        let second = try RunningPlane(beside: first)
        // Made when the second one had its copy of the folder already.
        try first.verb("cluster", "create", "late")
        let node = try TestNode.enrolled(first, cluster: "late", "db-1")
        #expect(try node.enroll(at: second, as: node, operation: .reenroll).status == 200)
        let made: CreatedKey = try key(first, as: node).decode()
        #expect(try open(made, second, as: node).decode(UnwrappedKey.self).key == made.key)
        try set(first)
        // With the key that the other one has made.
        #expect(try second.verb("desired", "clear", "--cluster", "alpha").contains("version 2"))
        try second.verb("rotate-ca", "start")
        #expect(try keys(first) == keys(second))
        #expect(try status(first)["keys_in"] as? String == "token")
        let lists = try [first, second].map { try $0.call("GET", "/v1/clusters/late/crl").body }
        #expect(lists[0] == lists[1] && !lists[0].isEmpty)
    }
}
