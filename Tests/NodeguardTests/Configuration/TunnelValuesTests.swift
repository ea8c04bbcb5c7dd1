import IO
import OpenSSL
import Proxy
import Testing

@testable import nodeguard

@Suite struct `A tunnel's configuration` {
    private static let managed = """
        node: { name: db-1 }
        management: { url: https://plane, join: /join }
        certificates: { roles: [ { name: database, names: [a], usage: [server, client] }, { name: web, names: [a] } ] }

        """

    private static func text(_ keys: String) -> String { managed + "proxy: { tunnels: [ { \(keys) } ] }" }

    private static func tunnel(_ keys: String, _ defaults: String = "") throws -> ListenerConfiguration {
        let text = managed + "proxy: { \(defaults) tunnels: [ { \(keys) } ] }"
        let configuration = try NodeConfiguration.parse(text, path: "test").proxyConfiguration()
        return try #require(configuration.listeners.first)
    }

    private static let short = """
        name: peer-9100, listen: 127.0.0.1:19100, connect: "db-2.cluster-a.example:9100", certificate: database
        """

    @Test func `is short where the usual will do`() throws {
        let tunnel = try Self.tunnel(Self.short, "defaults: { minimum-tls: 1.3, idle-timeout: 1h },")
        #expect(tunnel.tunnel == TunnelSettings(to: "db-2.cluster-a.example:9100", name: "db-2.cluster-a.example"))
        #expect(tunnel.backend.isEmpty, "names are looked up when they are needed")
        #expect(tunnel.databaseProtocol == .tcp && tunnel.certificateRole == "database")
        #expect(tunnel.trustsCluster && tunnel.anchors.isEmpty)
        #expect(tunnel.minimumTLS == .tls13)
        #expect(tunnel.timeouts.connect == .seconds(5) && tunnel.timeouts.idle == .seconds(3600))
        #expect(tunnel.health == nil && tunnel.mistakes.isEmpty)
    }

    @Test func `may say everything`() throws {
        let tunnel = try Self.tunnel(
            """
            name: a, listen: ["unix:/run/a", "[::1]:1"], socket-mode: 0660, connect: "192.0.2.1:5433",
            protocol: postgres, tls: direct, certificate: database, verify-name: db.example, connect-timeout: 1s,
            idle-timeout: off, health: { every: 1s }
            """, "defaults: { idle-timeout: 1h },")
        #expect(tunnel.listen == [.unix(path: "/run/a"), .ipv6([UInt8](repeating: 0, count: 15) + [1], port: 1)])
        #expect(tunnel.tunnel?.socketMode == 0o660 && tunnel.tunnel?.isDirect == true)
        #expect(tunnel.tunnel?.name == "db.example")
        #expect(tunnel.backend == [.ipv4([192, 0, 2, 1], port: 5433)])
        #expect(tunnel.timeouts.connect == .seconds(1) && tunnel.timeouts.idle == nil)
        #expect(tunnel.health == BackendHealthRules(every: .seconds(1)))
        let literal = try Self.tunnel(
            "name: a, listen: 127.0.0.1:1, connect: \"[2001:db8::1]:1\", certificate: database")
        #expect(literal.tunnel?.name == "2001:db8::1")
    }

    @Test(arguments: [
        ("127.0.0.1:19100", "0.0.0.0:19100", "in clear, and use this node's certificate"),
        ("127.0.0.1:19100", "\"[2001:db8::1]:1\"", "'acknowledge-plaintext: yes'"),
        ("127.0.0.1:19100", "localhost:19100", "is no address: write 127.0.0.1:19100 or unix:/path"),
        ("127.0.0.1:19100", "unix:run", "is no address"), ("127.0.0.1:19100", "[]", "needs at least one value"),
        ("127.0.0.1:19100", "127.0.0.1:19100, socket-mode: 0600", "without a unix socket"),
        ("127.0.0.1:19100", "\"unix:/a\", socket-mode: 999", "are no permissions"),
        ("\"db-2.cluster-a.example:9100\"", "db-2", "is no remote end: write host:9100"),
        ("\"db-2.cluster-a.example:9100\"", "\"unix:/run/db\"", "leads to another machine"),
        ("\"db-2.cluster-a.example:9100\"", "\"a:0\"", "is no remote end"),
        ("\"db-2.cluster-a.example:9100\"", "\"127.0.0.1:19100\"", "leads back to the tunnel itself"),
        ("certificate: database", "certificate: web", "is not for clients: write 'usage: [server, client]'"),
        ("certificate: database", "certificate: databse", "did you mean 'database'?"),
        ("certificate: database", "certificate: database, trust: []", "'trust' needs at least one value"),
        ("certificate: database", "certificate: database, trust: anybody", "nothing to trust"),
        ("certificate: database", "certificate: database, verify-name: \"a b\"", "'a b' is no host name"),
        ("certificate: database", "certificate: database, tls: direct", "for the protocol postgres"),
        ("certificate: database", "certificate: database, protocol: postgres, tls: off", "is no way to begin TLS"),
        ("certificate: database", "certificate: database, crl-check: leaf", "says nothing without 'crl'"),
        ("certificate: database", "certificate: database, connect-timeout: 1ms", "must be from 100ms to 10m"),
        ("certificate: database", "certificate: database, verifyname: a", "did you mean 'verify-name'?"),
        ("certificate: database", "protocol: tcp", "'certificate' is missing"),
    ])
    func `is checked where it stands`(part: String, replacement: String, expected: String) {
        #expect(mistakes(Self.text(Self.short)) == [])
        let found = mistakes(Self.text(Self.short.replacing(part, with: replacement)))
        #expect(found.count == 1 && found.allSatisfy { $0.contains(expected) && $0.hasPrefix("4:") }, "\(found)")
    }

    @Test func `opens a port to others once that was acknowledged`() throws {
        let open = Self.short.replacing("127.0.0.1:19100", with: "0.0.0.0:19100, acknowledge-plaintext: yes")
        #expect(try Self.tunnel(open).mistakes.isEmpty)
    }

    @Test func `has a name and a port that no listener has, and trust of its own without a plane`() {
        let listener = """
            listeners: [ { name: peer-9100, listen: 127.0.0.1:19100, protocol: tcp, backend: "127.0.0.1:1",
                certificate: database, trust: cluster } ],
            """
        let found = mistakes(Self.managed + "proxy: { \(listener) tunnels: [ { \(Self.short) } ] }")
        #expect(found.count == 2)
        #expect(found.contains { $0.contains("there is a listener 'peer-9100' already") })
        #expect(found.contains { $0.contains("127.0.0.1:19100 is taken by the listener 'peer-9100'") })
        let alone = """
            certificates: { roles: [ { name: database, files: { chain: /a, key: /b } } ] }
            proxy: { tunnels: [ { \(Self.short) } ] }
            """
        #expect(mistakes(alone).map { $0.contains("'trust' is missing") } == [true])
        #expect(mistakes(alone.replacing("certificate:", with: "trust: \"file:/ca\", certificate:")) == [])
    }
}
