import Foundation
import TestSupport
import Testing

@testable import nodeguard

@Suite struct `The files that a configuration names` {
    private static let authority = Result { try TestAuthority() }

    /// `config check` of a node with one listener.
    private static func check(
        trust: [String]? = nil, chain: String? = nil, key: String? = nil, more: String = "", extra: String = ""
    ) async throws -> Subprocess.Result {
        let authority = try authority.get()
        let server = try authority.server()
        let files = "chain: \(chain ?? server.chainPath), key: \(key ?? server.keyPath)"
        let trusted = (trust ?? [authority.trustPath]).map { "\"file:\($0)\"" }.joined(separator: ", ")
        let fixture = try ProgramFixture(
            """
            certificates: { roles: [ { name: own, files: { \(files) } } ] }
            proxy:
              listeners:
                - name: ysql
                  listen: 127.0.0.1:0
                  protocol: postgres
                  backend: 127.0.0.1:1
                  certificate: own
                  trust: [\(trusted)]
                  \(more)
            \(extra)
            """)
        return try await fixture.run(["config", "check"])
    }

    private static func root(
        validity: ClosedRange<Double>? = nil, key: TestCertificate.Key = .ecP256,
        _ extensions: [String: String?] = [:]
    ) throws -> String {
        try authority.get().issue(
            name: "flawed", usage: [], validity: validity, isAuthority: true, key: key, extensions: extensions,
            by: .itself
        ).certificatePath
    }

    @Test func `are no mistake while each can be used`() async throws {
        let outcome = try await Self.check()
        #expect(outcome.status == 0 && outcome.output.contains("no mistake"), "\(outcome)")
        let plain = try Self.root(["keyUsage": nil, "basicConstraints": "CA:TRUE"])
        let taken = try await Self.check(trust: [plain])
        #expect(taken.status == 0, "an authority as openssl makes it by default: \(taken)")
    }

    @Test func `are mistakes where they are named, if no client could ever be verified`() async throws {
        let leaf = try Self.authority.get().client().certificatePath
        for (path, reason) in [
            (try Self.root(validity: -200 ... -100), "has expired"),
            (try Self.root(key: .rsa1024), "too weak"),
            (try Self.root(["keyUsage": "critical,cRLSign"]), "keyCertSign"),
            (try Self.root(["extendedKeyUsage": "serverAuth"]), "certify clients"), (leaf, "CA:TRUE"),
        ] {
            let outcome = try await Self.check(trust: [path])
            #expect(outcome.status == 78, "\(reason): \(outcome)")
            let lines = outcome.errors.split(separator: "\n")
            #expect(lines.count == 1 && lines[0].contains("nodeguard.yaml:11:15: listener ysql: trust"), "\(outcome)")
            #expect(outcome.errors.contains(reason), "\(outcome)")
        }
    }

    @Test func `are mistakes if no remote end of a tunnel could ever be verified`() async throws {
        let path = try Self.root(["extendedKeyUsage": "clientAuth"])
        let tunnel = """
              tunnels:
                - { name: a, listen: "127.0.0.1:0", connect: "127.0.0.1:1", certificate: own, trust: ["file:\(path)"] }
            """
        let outcome = try await Self.check(extra: tunnel)
        #expect(outcome.status == 78 && outcome.errors.contains("certify servers"), "\(outcome)")
        #expect(outcome.errors.contains(/nodeguard\.yaml:14:\d+: tunnel a: trust/), "\(outcome)")
    }

    @Test func `with nothing but expired authorities are told, and keep no node from starting`() throws {
        let path = try Self.root(validity: -200 ... -100)
        let configuration = try NodeConfiguration.parse(
            """
            node: { name: db-1 }
            certificates: { roles: [ { name: own, files: { chain: /c, key: /k } } ] }
            proxy:
              listeners:
                - name: a
                  listen: "127.0.0.1:0"
                  protocol: tcp
                  backend: "127.0.0.1:1"
                  certificate: own
                  trust: ["file:\(path)"]
            """, path: "test")
        #expect(configuration.fileMistakes.isEmpty && configuration.expiryMistakes.count == 1)
    }

    @Test func `may have an expired authority beside its successor`() async throws {
        let both = try Self.authority.get().folder.file("both.pem")
        let texts = try [Self.root(validity: -200 ... -100), Self.authority.get().trustPath]
            .map { try String(contentsOfFile: $0, encoding: .utf8) }
        try Data(texts.joined().utf8).write(to: URL(fileURLWithPath: both))
        let outcome = try await Self.check(trust: [both])
        #expect(outcome.status == 0, "\(outcome)")
    }

    @Test func `are mistakes where a certificate and its key do not fit`() async throws {
        let other = try Self.authority.get().server()
        for (chain, key, reason) in [
            ("/nonexistent/chain.pem", nil, "/nonexistent/chain.pem"), (nil, other.keyPath, "key"),
            (other.keyPath, other.keyPath, "no certificate"), (nil, "/nonexistent/key.pem", "/nonexistent/key.pem"),
        ] as [(String?, String?, String)] {
            let outcome = try await Self.check(chain: chain, key: key)
            #expect(outcome.status == 78 && outcome.errors.contains(reason), "\(outcome)")
            #expect(outcome.errors.contains(/nodeguard\.yaml:3:\d+: role own:/), "\(outcome)")
        }
    }

    @Test func `and groups are mistakes all at once, each with its line and column`() async throws {
        let folder = try TemporaryDirectory()
        let list = try folder.write("# two\nnonsense\nmore\n", to: "deny")
        let map = try folder.write("\ncommon-name:a\n", to: "map")
        let outcome = try await Self.check(
            trust: ["/nonexistent/a.pem", "/nonexistent/b.pem"],
            more: "crl: [\"file:/nonexistent/crl\"]\n      deny-list: \(list)\n      database-user-map: \(map)")
        let places = outcome.errors.split(separator: "\n").compactMap { line in
            line.firstMatch(of: /nodeguard\.yaml:(\d+):(\d+): listener ysql:/).map { "\($0.1):\($0.2)" }
        }
        #expect(places == ["11:15", "11:42", "12:13", "13:18", "13:18", "14:26"], "\(outcome)")
        #expect(outcome.status == 78 && outcome.errors.contains("\(map):2: "), "\(outcome)")
        let grouped = try ProgramFixture()
        try grouped.folder.write("status: { group: nobody-has-this-one }", to: "nodeguard.yaml")
        let unknown = try await grouped.run(["config", "check"])
        #expect(unknown.status == 78 && unknown.errors.contains("nodeguard.yaml:1:18: there is no group"), "\(unknown)")
    }
}
