import IO
import Proxy
import Testing

@testable import nodeguard

/// Keys of a listener that say what goes before a client's bytes.
@Suite struct `What a listener says on the wire` {
    private static func text(_ keys: String, _ databaseProtocol: String = "tcp") -> String {
        """
        certificates: { roles: [ { name: own, files: { chain: /a, key: /b } } ] }
        proxy: { listeners: [ { name: a, listen: "127.0.0.1:5433", protocol: \(databaseProtocol),
          \(keys.contains("backend:") ? "" : "backend: '127.0.0.1:5432',") certificate: own, trust: "file:/ca.pem",
          \(keys) } ] }
        """
    }

    private static func listener(_ keys: String) throws -> ListenerSection {
        try #require(try NodeConfiguration.parse(text(keys), path: "test").proxy.listeners.first)
    }

    @Test func `is no PROXY header, unless it is told`() throws {
        let silent = try Self.listener("mode: enforce").proxyProtocol
        #expect(silent == ProxyProtocolSection(sent: .off, accepted: [], acknowledgesAnyProxy: false))
        let told = try Self.listener(
            "proxy-protocol: v2, accept-proxy-protocol: [10.0.0.0/8, \"::1\", 0.0.0.0/0], acknowledge-any-proxy: yes")
        #expect(told.proxyProtocol.sent == .v2)
        #expect(told.proxyProtocol.accepted == ["10.0.0.0/8", "::1/128", "0.0.0.0/0"].compactMap { PeerNetwork($0) })
    }

    @Test func `begins TLS to the database as it is told`() throws {
        let keys = "backend-tls: verify, backend-trust: \"file:/ca.pem\""
        let asked = try NodeConfiguration.parse(Self.text(keys, "postgres"), path: "test").proxy.listeners[0].backendTLS
        #expect(asked.negotiation == .sslRequest)
        let direct = Self.text(keys + ", backend-tls-negotiation: direct", "postgres")
        #expect(
            try NodeConfiguration.parse(direct, path: "test").proxy.listeners[0].backendTLS.negotiation == .direct)
        let found = mistakes(direct.replacing("postgres", with: "redis"))
        #expect(
            found.count == 1 && found[0].hasSuffix("only the protocol postgres has anything to negotiate before TLS"))
    }

    @Test func `names the client behind the application, where it is told`() throws {
        #expect(try Self.listener("mode: enforce").applicationName == .keep)
        let told = Self.text("application-name: append-address", "postgres")
        #expect(
            try NodeConfiguration.parse(told, path: "test").proxy.listeners[0].applicationName == .appendAddress)
        let found = mistakes(told.replacing("postgres", with: "tcp"))
        #expect(found.count == 1 && found[0].hasSuffix("only the protocol postgres has an application_name"))
    }

    @Test(arguments: [
        ("", "", false), ("session-resumption: yes", "", true),
        ("session-resumption: on", "session-resumption: no", false),
        ("", "session-resumption: on", true), ("session-resumption: off", "session-resumption: yes", true),
    ])
    func `is a ticket only where it is told, by the listener before the defaults`(
        defaults: String, own: String, expected: Bool
    ) throws {
        let text = """
            node: { name: db-1 }
            management: { url: https://plane, join: /join }
            certificates: { roles: [ { name: one, names: [a] } ] }
            proxy: { defaults: { \(defaults) }, listeners: [ { name: a, listen: "127.0.0.1:1", protocol: tcp,
              backend: "127.0.0.1:2", certificate: one, trust: cluster, \(own) } ] }
            """
        let configuration = try NodeConfiguration.parse(text, path: "test")
        #expect(try configuration.proxyConfiguration().listeners.map(\.resumesSessions) == [expected])
        let found = mistakes(text.replacing("protocol: tcp", with: "protocol: tcp, session-resumption: tickets"))
        #expect(found.contains { $0.contains("'tickets' must be yes or no") }, "\(found)")
    }

    @Test func `comes to the proxy as it is written`() throws {
        let text = """
            node: { name: db-1 }
            management: { url: https://plane, join: /join }
            certificates: { roles: [ { name: one, names: [a] }, { name: two, names: [b] } ] }
            proxy: { listeners: [ { name: a, listen: "127.0.0.1:1", protocol: postgres, backend: "127.0.0.1:5432",
              certificates: [two, one], sni: strict, trust: cluster, backend-source: transparent,
              backend-tls: verify, backend-trust: cluster, backend-tls-negotiation: direct,
              proxy-protocol: v2, accept-proxy-protocol: 10.0.0.0/8, application-name: append-address } ] }
            """
        let configuration = try NodeConfiguration.parse(text, path: "test")
        let listener = try #require(try configuration.proxyConfiguration().listeners.first)
        #expect(listener.certificateRole == "two" && listener.otherCertificateRoles == ["one"])
        #expect(listener.refusesUnknownNames && listener.isTransparent && listener.namesAddress)
        #expect(listener.backendTLS?.negotiation == .direct && listener.sendsProxyHeader)
        #expect(listener.announcingProxies == [PeerNetwork("10.0.0.0/8")])
        #expect(listener.mistakes == [])
        var wrong = listener
        wrong.databaseProtocol = .redis
        wrong.backend = [.unix(path: "/socket")]
        wrong.backendTLS?.mode = .sameCertificate
        let words = ["application_name", "negotiate before TLS", "come from no address", "several certificates"]
        for one in words { #expect(wrong.mistakes.contains { $0.contains(one) }, "\(wrong.mistakes)") }
    }

    @Test(arguments: [
        (
            "backend-source: transparent, backend: \"unix:/socket\"",
            "over a unix socket connections come from no address"
        ),
        ("backend-tls-negotiation: direct", "'backend-tls-negotiation' says nothing without 'backend-tls'"),
        ("proxy-protocol: v1", "'v1' is no version of the PROXY protocol"),
        ("accept-proxy-protocol: []", "needs at least one value"),
        ("accept-proxy-protocol: [10.0.0.1/8]", "'10.0.0.1/8' is no network"),
        ("accept-proxy-protocol: balancer", "'balancer' is no network"),
        ("accept-proxy-protocol: [10.0.0.0/8, 0.0.0.0/0]", "0.0.0.0/0 lets every client say that it is another"),
        ("accept-proxy-protocol: \"::/0\", acknowledge-any-proxy: no", "::/0 lets every client"),
    ])
    func `is checked where it stands`(keys: String, expected: String) {
        let found = mistakes(Self.text(keys))
        #expect(found.count == 1 && found[0].contains(expected) && found[0].hasPrefix("4:"), "\(found)")
    }
}

/// `certificate`, `certificates` and `sni` of a listener.
@Suite struct `What a listener shows its clients` {
    private static func text(_ keys: String) -> String {
        """
        certificates:
          roles: [ { name: one, files: { chain: /a, key: /b } }, { name: two, files: { chain: /a, key: /b } } ]
        proxy: { listeners: [ { name: a, listen: "127.0.0.1:5433", protocol: tcp, backend: "127.0.0.1:5432",
          trust: "file:/ca.pem", \(keys) } ] }
        """
    }

    private static func certificates(_ keys: String) throws -> ListenerCertificatesSection {
        try #require(try NodeConfiguration.parse(text(keys), path: "test").proxy.listeners.first).certificates
    }

    @Test func `is one certificate, or several in order`() throws {
        #expect(
            try Self.certificates("certificate: two")
                == ListenerCertificatesSection(roles: ["two"], unknownName: .first))
        #expect(
            try Self.certificates("certificates: [two, one], sni: strict")
                == ListenerCertificatesSection(roles: ["two", "one"], unknownName: .strict))
    }

    @Test(arguments: [
        ("mode: enforce", "'certificate' is missing"), ("certificates: []", "'certificates' needs at least one value"),
        ("certificate: one, certificates: [two]", "'certificate' does not go with 'certificates'"),
        ("certificates: [one, two, one]", "the role 'one' is there already"),
        ("certificates: [one, tow]", "there is no role 'tow' under 'certificates'; did you mean 'two'?"),
        ("certificate: one, sni: reject", "'reject' is no treatment of unknown names"),
        ("certificates: [one, two], backend-tls: same-certificate", "'same-certificate' takes one certificate"),
    ])
    func `is checked where it stands`(keys: String, expected: String) {
        let found = mistakes(Self.text(keys))
        #expect(found.count == 1 && found[0].contains(expected), "\(found)")
    }
}
