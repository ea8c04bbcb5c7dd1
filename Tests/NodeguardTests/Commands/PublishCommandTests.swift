import Foundation
import IO
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `nodeguard publish` {
    /// A role whose pair lies in files, and a folder to publish it in.
    private func fixture(_ reload: String = "[]") throws -> ProgramFixture {
        let identity = try Self.authority.get().server()
        let fixture = try ProgramFixture(
            """
            certificates: { roles: [ { name: own, files: { chain: \(identity.chainPath), key: \(identity.keyPath) },
                publish: { directory: /tmp, reload: \(reload) } } ] }
            """)
        let path = fixture.folder.file("nodeguard.yaml")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let folder = try Files.realPath(fixture.folder.path) + "/tls"
        try fixture.folder.write(text.replacing("directory: /tmp", with: "directory: \(folder)"), to: "nodeguard.yaml")
        for name in ["tls", "state/publish"] {
            try FileManager.default.createDirectory(
                atPath: fixture.folder.file(name), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        }
        return fixture
    }

    private static let authority = Result { try TestAuthority() }

    @Test func `says what it did, and ends with the status of it`() async throws {
        let fixture = try fixture()
        let first = try await fixture.run(["publish"])
        #expect(first.status == 0 && first.output.hasPrefix("own: published in "), "\(first)")
        #expect(try Files.list(fixture.folder.file("tls")) == ["chain.pem", "key.pem"])
        #expect(try await fixture.run(["publish"]).output.hasPrefix("own: nothing new for "))
        let undone = try await fixture.run(["publish", "--role", "own", "--undo"])
        #expect(undone.status == 2 && undone.errors.contains("there is no key.pem.previous"), "\(undone)")
        #expect(try await fixture.run(["publish", "--role", "other"]).status == 64)
        #expect(try await fixture.run(["publish", "--undo"]).status == 64)
        try FileManager.default.removeItem(atPath: fixture.folder.file("state/publish"))
        let without = try await fixture.run(["publish"])
        #expect(without.status == 2 && without.errors.contains("the daemon makes this folder"), "\(without)")
    }

    @Test func `runs as root no command of a configuration that others can write`() async throws {
        try #require(Account.own == 0, "the tests run as root")
        let fixture = try fixture("[touch, /tmp/never-made-by-nodeguard]")
        let path = fixture.folder.file("nodeguard.yaml")
        #expect(chmod(path, 0o666) == 0)
        let refused = try await fixture.run(["publish"])
        #expect(refused.status == 4, "\(refused)")
        #expect(refused.errors.contains("names commands that root is to run, but others than root may write to"))
        #expect(chmod(path, 0o644) == 0 && chown(path, Account.user("nobody") ?? 1, 0) == 0)
        #expect(try await fixture.run(["publish"]).errors.contains("does not belong to root"))
        #expect(try Files.list(fixture.folder.file("tls")).isEmpty)
        #expect(!Files.exists("/tmp/never-made-by-nodeguard"))
    }

    @Test func `has its unit's drop-in printed`() async throws {
        let unit = try await fixture().run(["config", "publish-unit"])
        #expect(unit.status == 0 && unit.output.contains("ReadWritePaths="), "\(unit)")
        let none = try await ProgramFixture().run(["config", "publish-unit"])
        #expect(none.status == 64 && none.errors.contains("no role of"), "\(none)")
    }
}
