import Foundation
import PlaneAPI
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `Joining` {
    private static let token = "a-token-that-nobody-may-see"

    private func bundle(node: String = "db-1", cluster: String = "cluster-a") throws -> String {
        try JoinBundle(
            url: "https://plane:8443", cluster: cluster, node: node,
            pins: ["sha256:" + String(repeating: "ab", count: 32)], token: Self.token
        ).text
    }

    private func fixture() throws -> ProgramFixture { try ProgramFixture("management: { url: https://plane:8443 }") }

    @Test func `stores a pasted bundle where the daemon looks for it, for its owner alone`() async throws {
        let fixture = try fixture()
        let outcome = try await fixture.run(["join", "-"], input: "  " + (try bundle()) + "\n")
        #expect(outcome.status == 0, "\(outcome)")
        let path = fixture.folder.file("state/join/bundle")
        #expect(try String(contentsOfFile: path, encoding: .utf8) == (try bundle()) + "\n")
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let folder = try FileManager.default.attributesOfItem(atPath: fixture.folder.file("state/join"))
        #expect(folder[.posixPermissions] as? Int == 0o700)
        #expect(!outcome.description.contains(Self.token))
        #expect(!outcome.description.contains(JoinBundle.prefix))
    }

    @Test func `takes a bundle from a file`() async throws {
        let fixture = try fixture()
        let file = try fixture.folder.write(try bundle() + "\n", to: "bundle")
        #expect(try await fixture.run(["join", file]).status == 0)
    }

    @Test func `refuses a bundle as an argument, and does not repeat it`() async throws {
        let outcome = try await fixture().run(["join", try bundle()])
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("can be seen by every user"))
        #expect(!outcome.description.contains(JoinBundle.prefix))
    }

    @Test func `refuses a bundle of another node or cluster`() async throws {
        let fixture = try fixture()
        for other in [try bundle(node: "db-2"), try bundle(cluster: "cluster-b")] {
            let outcome = try await fixture.run(["join", "-"], input: other)
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("but the bundle is for"))
        }
        #expect(!FileManager.default.fileExists(atPath: fixture.folder.file("state/join/bundle")))
    }

    @Test func `needs a plane in the configuration`() async throws {
        let outcome = try await ProgramFixture().run(["join", "-"], input: try bundle())
        #expect(outcome.status == 78)
        #expect(outcome.errors.contains("has no 'management'"))
    }

    @Test func `says what is wrong with a text that is no bundle, and never quotes it`() async throws {
        let fixture = try fixture()
        let secret = "c2VjcmV0"
        for text in ["", secret, "nodeguard-join:1:" + secret, String(repeating: "x", count: 40_000)] {
            let outcome = try await fixture.run(["join", "-"], input: text)
            #expect(outcome.status == 2)
            #expect(outcome.errors.contains("join bundle"))
            #expect(!outcome.description.contains(secret) && outcome.errors.count < 300)
        }
        #expect(try await fixture.run(["join", "/nonexistent"]).status == 2)
    }
}
