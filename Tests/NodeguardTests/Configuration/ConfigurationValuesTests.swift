import OpenSSL
import Proxy
import Testing

@testable import nodeguard

@Suite struct `A configuration's values` {
    @Test(arguments: [
        ("log: { level: loud }", "'loud' is no log level: write trace, debug, info, notice, warning, error, critical"),
        ("log: { level: wraning }", "'wraning' is no log level; did you mean 'warning'?"),
        (
            "audit: { witness: nodeguard-plane }",
            "this is no witness key: copy the last line of 'nodeguard-plane audit keys'"
        ),
        ("log: { destination: syslog }", "'syslog' is no log destination"),
        ("node: { name: a/b }", "'a/b' is no name"), ("node: { name: .. }", "'..' is no name"),
        ("node: { state: relative/path }", "'relative/path' is no path: it must begin with /"),
        (#"node: { state: "/a\nb" }"#, "control characters are not allowed in a path"),
        ("management: { url: http://plane }", "is no URL that begins with https://"),
        ("management: { url: 'https://' }", "is no URL that begins with https://"),
        ("management: { url: 'https://u:p@plane' }", "no user, no query, no fragment"),
        ("management: { url: 'https://plane/a b' }", "printable ASCII"),
        ("management: { url: https://p, join: 'nodeguard-join:1:abc' }", "name its file"),
        ("management: { url: https://p, join: 'credential:join' }", "not supported by this version"),
        ("management: { url: https://p, est: { label: simpleenroll } }", "is no EST label"),
        ("backups: { memory: 128 }", "'128' is no size; write 128B"),
        ("backups: { memory: 128MB }", "'128MB' is no size; write 128MiB"),
        ("backups: { memory: lots }", "'lots' is no size such as"),
        ("backups: { memory: 1MiB }", "'1MiB' must be from 16MiB to 64GiB"),
        ("backups: { memory: 99999999999999999999MiB }", "is no size such as"),
        ("backups: { memory: 9223372036854775807TiB }", "must be from 16MiB to 64GiB"),
        ("backups: { targets: [ { name: a, url: /b } ] }", "'/b' is no target: write file:///folder"),
        ("backups: { targets: [ { name: a, url: 'file:///b%20c' } ] }", "is no target"),
        ("backups: { targets: [ { name: a, url: file:///b }, { name: a, url: file:///c } ] }", "a target 'a' already"),
        ("audit: { spool: { limit: 1GB } }", "'1GB' is no size; write 1GiB"),
        ("proxy: { defaults: { drain: 30 } }", "'30' is no duration: write 500ms, 10s, 5m, 2h or 7d"),
        ("proxy: { defaults: { drain: soon } }", "'soon' is no duration such as"),
        ("proxy: { defaults: { handshake-timeout: 2h } }", "'2h' must be from 100ms to 10m"),
        ("proxy: { defaults: { connect-timeout: off } }", "'off' is no duration"),
        ("proxy: { defaults: { idle-timeout: never } }", "is no duration such as 500ms, 10s, 5m, 2h or 7d, or off"),
        ("proxy: { defaults: { minimum-tls: 1.1 } }", "'1.1' is no TLS version; did you mean '1.2'?"),
        ("proxy: { limits: { connections: 0 } }", "'0' must be a number from 1 to 1000000"),
        ("proxy: { limits: { connections: -1 } }", "'-1' must be a number"),
        ("proxy: { limits: { connections: 0x10 } }", "'0x10' must be a number"),
        ("proxy: { limits: { per-address: { rate: 500 } } }", "'500' is no rate"),
        ("proxy: { limits: { per-address: { rate: 0/s } } }", "'0/s' must be from 1/s"),
        ("proxy: { limits: { per-prefix: { connections: none } } }", "'none' must be a number"),
        ("proxy: { limits: { ban: { failures: 3, within: 1m } } }", "'for' is missing"),
        ("proxy: { limits: { per-identity: { unauthenticated: 1 } } }", "unknown key 'unauthenticated'"),
        ("proxy: { limits: { memory: 1MiB } }", "'1MiB' must be from 64MiB to 1TiB, or off"),
        ("proxy: { limits: { reserved: { networks: [10.0.0.1/8] } } }", "'10.0.0.1/8' is no network: write"),
        ("proxy: { limits: { reserved: { unauthenticated: 4 } } }", "name 'networks' beside them"),
        ("proxy: { limits: { reserved: { connections: 4 } } }", "name 'identities' beside them"),
        ("proxy: { limits: { reserved: { identities: [ {} ] } } }", "an empty rule would match nobody"),
        ("proxy: { defaults: { deny-list: denied } }", "'denied' is no path: it must begin with /"),
        ("status: { mode: 888 }", "'888' are no permissions"), ("status: { mode: 7777 }", "are no permissions"),
        ("status: { socket: /a, control: /a }", "three different paths"),
        ("status: { socket: /\(String(repeating: "a", count: 103)) }", "at most 103 bytes"),
        ("certificates: { key: { kind: ec-p255 } }", "did you mean 'ec-p256'?"),
        ("certificates: { roles: [ { name: node, files: { chain: /a, key: /b } } ] }", "the node's own identity"),
        ("certificates: { roles: [ { name: a, files: { chain: /a } } ] }", "'key' is missing"),
        ("certificates: { roles: [ { name: a, names: [b] } ] }", "without 'management' nobody issues"),
        ("certificates: { roles: [ { name: a, names: [b], files: { chain: /a, key: /b } } ] }", "'names' does not go"),
    ])
    func `are refused when they are wrong, with what is right`(text: String, expected: String) {
        let found = mistakes(text)
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test(arguments: [
        ("names: [127.0.0.1]", "is an address: write it under 'addresses'"), ("names: ['a b']", "is no host name"),
        ("names: ['*.example']", "is no host name"), ("names: [-a.example]", "is no host name"),
        ("addresses: [localhost]", "'localhost' is no IP address"), ("addresses: ['[::1]']", "is no IP address"),
        ("addresses: ['127.0.0.1:80']", "is no IP address"), ("uris: [nothing]", "is no URI"),
        ("uris: ['spiffe://a/*']", "has no wildcard"), ("usage: [serve]", "did you mean 'server'?"), ("names: []", ""),
        ("usage: [server]", "needs 'names', 'addresses' or 'uris'"),
    ])
    func `of a role are names that a certificate can have`(role: String, expected: String) {
        let found = mistakes(
            "management: { url: https://p }\ncertificates: { roles: [ { name: database, \(role) } ] }")
        #expect(expected.isEmpty ? found == [] : found.contains { $0.contains(expected) }, "\(found)")
    }

    private func listener(_ change: (String) -> String) -> [String] {
        let listener = """
            name: ysql, listen: ["127.0.0.1:5433"], protocol: postgres, backend: "127.0.0.1:5432", certificate: own, \
            trust: ["file:/ca.pem"], allow: [ { common-name: a } ]
            """
        return mistakes(
            """
            certificates: { roles: [ { name: own, files: { chain: /a, key: /b } } ] }
            proxy: { listeners: [ { \(change(listener)) } ] }
            """)
    }

    @Test(arguments: [
        ("\"127.0.0.1:5433\"", "localhost:5433", "'localhost:5433' is no address"),
        ("\"127.0.0.1:5433\"", "5433", "'5433' is no address"),
        ("\"127.0.0.1:5433\"", "'127.0.0.1:99999'", "is no address"),
        ("\"127.0.0.1:5433\"", "'unix:/a'", "is no address"),
        ("[\"127.0.0.1:5433\"]", "[]", "needs at least one value"),
        ("\"127.0.0.1:5432\"", "'5432'", "is no backend"), ("\"127.0.0.1:5432\"", "'127.0.0.1:0'", "no port"),
        ("\"127.0.0.1:5432\"", "'unix:relative'", "is no backend"),
        ("\"127.0.0.1:5432\"", "'unix:/run/pg'", "acknowledge-local-trust: yes"),
        ("certificate: own", "certificate: owm", "there is no role 'owm' under 'certificates'; did you mean 'own'?"),
        ("file:/ca.pem", "cluster", "there is no cluster to trust"), ("file:/ca.pem", "anybody", "nothing to trust"),
        ("protocol: postgres", "protocol: tcp, crl: cluster", "without 'management' there is no plane to give CRLs"),
        ("protocol: postgres", "protocol: tcp, crl: /crl.pem", "'/crl.pem' is no CRL: write cluster or"),
        ("protocol: postgres", "protocol: tcp, crl: []", "'crl' needs at least one value"),
        ("protocol: postgres", "protocol: tcp, crl-check: leaf", "'crl-check' says nothing without 'crl'"),
        ("protocol: postgres", "protocol: tcp, crl-freshness: strict", "'crl-freshness' says nothing without 'crl'"),
        (
            "protocol: postgres", "protocol: tcp, crl: 'file:/a', crl-check: chian",
            "'chian' is no depth of looking up; did you mean 'chain'?"
        ),
        (
            "protocol: postgres", "protocol: tcp, crl: 'file:/a', crl-freshness: lax",
            "'lax' is no freshness: write strict, grace 24h or last-known"
        ),
        (
            "protocol: postgres", "protocol: tcp, crl: 'file:/a', crl-freshness: grace 1s",
            "'1s' must be from 1m to 90d"
        ),
        ("protocol: postgres", "protocol: tcp, deny-list: denied", "'denied' is no path"),
        ("common-name: a", "comon-name: a", "unknown key 'comon-name'; did you mean 'common-name'?"),
        ("common-name: a", "", "an empty rule would match nobody"),
        ("common-name: a", "uri: 'spiffe://*/app'", "`*` may stand in the path only"),
        ("common-name: a", "ip: [1.2.3]", "'1.2.3' is no IP address"),
        ("common-name: a", "serial: 0A", "a serial number counts with its issuer"),
        ("common-name: a", "spki: sha256:00", "is not sha256: and 64 hexadecimal digits"),
        ("common-name: a", "common-name: []", "'common-name' needs at least one value"),
        ("protocol: postgres", "protocol: redis, deny: [ { database-user: a } ]", "only the protocol postgres"),
        ("protocol: postgres", "protocol: cassandra, deny: [ { database: a } ]", "says 'database'"),
        ("protocol: postgres", "protocol: tcp, deny: [ { dns: a, replication: no } ]", "says 'replication'"),
        ("protocol: postgres", "protocol: redis, database-user-map: /a", "only the protocol postgres"),
        ("protocol: postgres", "protocol: tcp, explain-certificate-refusals: yes", "has no words"),
        ("common-name: a", "replication: yes", "'replication' needs a key beside it"),
        ("common-name: a", "common-name: a, replication: maybe", "'maybe' is no kind of replication"),
        ("common-name: a", "usage: clientauth", "'clientauth' is no extended key usage"),
        ("common-name: a", "all: []", "'all' needs a list of at least one rule"),
        ("common-name: a", "any: [ {} ]", "an empty rule would match nobody"),
        ("common-name: a", "any: [ { dns: a }, { all: [ { ip: x } ] } ]", "'x' is no IP address"),
        ("common-name: a", "any: { dns: a }", "'any' must be a list of sections"),
        ("common-name: a", "any: [ a ]", "each of 'any' must be a section"),
        ("common-name: a", "any: [ { dns: a, replication: yes } ]", "unknown key 'replication'"),
        ("common-name: a", "any: [ { serial: 0A } ]", "counts with its issuer"),
        ("common-name: a", "any: [ { dsn: a } ]", "unknown key 'dsn'; did you mean 'dns'?"),
        (
            "common-name: a", String(repeating: "any: [ { ", count: 9) + "dns: a" + String(repeating: " } ]", count: 9),
            "nested more than 8 levels deep"
        ),
        ("protocol: postgres", "protocol: postgres, mode: dryrun", "did you mean 'dry-run'?"),
        ("protocol: postgres", "protocol: tcp, backend-tls: verfy", "did you mean 'verify'?"),
        ("protocol: postgres", "protocol: tcp, health: { every: 0s }", "'0s' must be from 1s to 1h"),
        ("protocol: postgres", "protocol: tcp, health: { timeout: 2m }", "'2m' must be from 100ms to 1m"),
        ("protocol: postgres", "protocol: tcp, health: off", "'health' must be a section"),
        ("protocol: postgres", "protocol: tcp, backend-tls: verify", "needs 'backend-trust'"),
        ("protocol: postgres", "protocol: tcp, backend-name: a", "'backend-name' says nothing without 'backend-tls'"),
        (
            "protocol: postgres", "protocol: tcp, backend-tls: off, backend-trust: cluster",
            "'backend-trust' says nothing"
        ),
        (
            "protocol: postgres", "protocol: tcp, backend-tls: same-certificate, backend-trust: cluster",
            "leave 'backend-trust' out"
        ),
        (
            "protocol: postgres",
            "protocol: tcp, backend-tls: verify, backend-trust: \"file:/a\", backend-name: \"a b\"",
            "'a b' is no host name"
        ),
    ])
    func `of a listener are checked where they stand`(part: String, replacement: String, expected: String) {
        let found = listener { $0.replacing(part, with: replacement) }
        #expect(found.contains { $0.contains(expected) && $0.hasPrefix("2:") }, "\(found)")
    }

    @Test(arguments: [
        ("backend: 127.0.0.1:5432", "127.0.0.1"), ("backend: \"[::1]:5432\"", "::1"),
        ("backend: localhost:5432", "localhost"), ("backend: 127.0.0.1:5432, backend-name: db.example", "db.example"),
        ("backend: 127.0.0.1:5432, backend-name: \"2001:db8::1\"", "2001:db8::1"),
    ])
    func `of TLS to the database name its host, unless told otherwise`(backend: String, name: String) throws {
        let configuration = try NodeConfiguration.parse(
            """
            node: { name: db-1 }
            management: { url: https://plane, join: /join }
            certificates: { roles: [ { name: database, names: [a], addresses: [127.0.0.1] } ] }
            proxy: { listeners: [ { name: a, listen: 127.0.0.1:1, protocol: tcp, certificate: database, trust: cluster,
              backend-tls: verify, backend-trust: cluster, \(backend) } ] }
            """, path: "test")
        let listener = try #require(try configuration.proxyConfiguration().listeners.first)
        let trust = ListenerTrust(trustsCluster: true, anchors: [])
        #expect(listener.backendTLS == BackendTLS(.verify, name: name, trust: trust))
        #expect(listener.mistakes == [])
    }

    @Test func `of two listeners do not collide`() {
        #expect(listener { $0 } == [])
        let found = listener { "\($0) }, { \($0)" }
        #expect(found.count == 2)
        #expect(found.contains { $0.contains("there is a listener 'ysql' already") })
        #expect(found.contains { $0.contains("127.0.0.1:5433 is taken by the listener 'ysql'") })
    }

    @Test(arguments: [
        ("strict", RevocationRules.Freshness.strict), ("grace 24h", .grace(seconds: 86_400)),
        ("last-known", .lastKnown),
    ])
    func `of revocation are strict and about the whole chain, unless told otherwise`(
        text: String, freshness: RevocationRules.Freshness
    ) throws {
        let listener = """
            certificates: { roles: [ { name: own, files: { chain: /a, key: /b } } ] }
            proxy: { listeners: [ { name: a, listen: 127.0.0.1:1, protocol: tcp, backend: "a:80", certificate: own,
                trust: "file:/ca.pem", crl: ["file:/one.pem", "file:/two.pem"] } ] }
            """
        let plain = try NodeConfiguration.parse(listener, path: "test").proxy.listeners[0].revocation
        #expect(plain == RevocationConfiguration(files: ["/one.pem", "/two.pem"]))
        #expect(plain?.rules == RevocationRules(depth: .chain, freshness: .strict))
        let told = listener.replacing("crl:", with: "crl-check: leaf, crl-freshness: \(text), crl:")
        let rules = try NodeConfiguration.parse(told, path: "test").proxy.listeners[0].revocation?.rules
        #expect(rules == RevocationRules(depth: .leaf, freshness: freshness))
        let managed =
            "management: { url: \"https://plane\", join: /j }\n"
            + listener.replacing("crl: [\"file:/one.pem\"", with: "crl: [cluster")
        let ofCluster = try NodeConfiguration.parse(managed, path: "test").proxy.listeners[0].revocation
        #expect(ofCluster == RevocationConfiguration(files: ["/two.pem"], usesCluster: true))
    }

    @Test func `of nested groups are right up to 8 levels`() {
        let deep = String(repeating: "any: [ { ", count: 8) + "dns: a" + String(repeating: " } ]", count: 8)
        #expect(listener { $0.replacing("common-name: a", with: deep) } == [])
    }

    @Test func `that are wrong in one list are all named`() {
        let found = listener { $0.replacing("common-name: a", with: "ip: [x, 127.0.0.1, y], dns: '*'") }
        #expect(found.count == 3, "\(found)")
    }

    @Test func `are text, whatever YAML would make of them`() throws {
        let text = """
            certificates: { roles: [ { name: "1e3", files: { chain: /a, key: /b } } ] }
            proxy:
              listeners:
                - { name: off, listen: 127.0.0.1:0, protocol: tcp, backend: "a:80", certificate: 1e3, trust: file:/ca,
                    allow: [ { common-name: yes }, { common-name: [12:34, 0x10, ~, null, 1_000, 2026-11-24] } ] }
            """
        let configuration = try NodeConfiguration.parse(text, path: "test")
        let listener = try #require(configuration.proxy.listeners.first)
        #expect(listener.name == "off")
        #expect(listener.certificates.roles == ["1e3"])
        #expect(
            listener.allow.map { $0.terms.keys[.commonName] ?? [] } == [
                ["yes"], ["12:34", "0x10", "~", "null", "1_000", "2026-11-24"],
            ])
    }

    @Test func `of reserved places have defaults of their own where somebody may take them`() throws {
        let text = """
            proxy:
              limits:
                reserved: { networks: [10.0.9.0/28, "::1"], identities: [ { common-name: dba }, { uri: "a:/*" } ] }
            """
        let reserved = try NodeConfiguration.parse(text, path: "test").proxy.limits.reserved
        #expect(reserved.networks.map(\.description) == ["10.0.9.0/28", "::1/128"])
        #expect(reserved.unauthenticated == 16 && reserved.connections == 8)
        #expect(reserved.identities.map(\.description) == ["common-name: dba", "uri: a:/*"])
        let half = try NodeConfiguration.parse(
            "proxy: { limits: { reserved: { networks: 10.0.0.1 } } }", path: "test")
        #expect(half.proxy.limits.reserved.unauthenticated == 16 && half.proxy.limits.reserved.connections == 0)
    }

    @Test func `have the documented defaults`() throws {
        let configuration = try NodeConfiguration.parse("node: { name: db-1 }", path: "test")
        #expect(configuration.node == NodeSection(name: "db-1", cluster: nil, state: "/var/lib/nodeguard"))
        #expect(configuration.management == nil)
        #expect(configuration.proxy.defaults.handshakeTimeout == .seconds(10))
        #expect(configuration.proxy.defaults.idleTimeout == nil)
        #expect(configuration.proxy.limits.connections == 10_000)
        #expect(configuration.proxy.limits.perAddress.unauthenticated == 128)
        #expect(configuration.proxy.limits.perPrefix == .init(unauthenticated: 256))
        #expect(configuration.proxy.limits.perIdentity == .init() && configuration.proxy.limits.memory == nil)
        #expect(configuration.proxy.limits.reserved == .init())
        #expect(configuration.backups.memory == 134_217_728)
        #expect(configuration.audit.spoolLimit == 1_073_741_824)
        #expect(configuration.status.control == "/run/nodeguard/control.sock")
        #expect(configuration.status.mode == 0o666)
        #expect(configuration.log.level == .info)
        let managed = try NodeConfiguration.parse(
            "node: { name: a, state: /s }\nmanagement: { url: 'https://plane:1/' }", path: "test")
        #expect(managed.management?.join == "/s/join/bundle")
        #expect(managed.management?.est == ManagementSection.EST(url: "https://plane:1", label: nil, user: ""))
    }
}
