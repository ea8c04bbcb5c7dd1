import Certificates
import IO
import Testing

@testable import nodeguard

@Suite struct `A role that is published` {
    private static func text(_ keys: String, names: String = "names: [db-1.example]") -> String {
        """
        node: { name: db-1 }
        management: { url: https://plane, join: /join }
        certificates: { roles: [ { name: files, \(names), publish: { \(keys) } } ] }
        """
    }

    private static func publication(
        _ keys: String, names: String = "names: [db-1.example]"
    ) throws -> PublicationConfiguration {
        let configuration = try NodeConfiguration.parse(text(keys, names: names), path: "test")
        return try #require(configuration.certificatesConfiguration().roles.first?.publication)
    }

    @Test func `needs a folder alone`() throws {
        let publication = try Self.publication("directory: /etc/tls")
        #expect(publication.directory == "/etc/tls" && publication.publisher == .auto)
        #expect(publication.names == .init(chain: "chain.pem", key: "key.pem", authorities: "ca.pem"))
        #expect(publication.owner == nil && publication.group == nil)
        #expect(publication.mode == 0o644 && publication.keyMode == 0o600)
        #expect(publication.reload.isEmpty && publication.check == nil)
    }

    @Test func `is written as the contract has it`() throws {
        let publication = try Self.publication(
            "directory: /etc/postgresql/tls, owner: postgres, reload: [pg_ctlcluster, \"15\", main, reload]")
        #expect(publication.owner == "postgres" && publication.reload == ["pg_ctlcluster", "15", "main", "reload"])
        #expect(publication.reloadTimeout == .seconds(30))
    }

    @Test func `has a window, which is shown as it is read again`() throws {
        let cases = [
            ("Sat 02:00-04:00", "Sat 02:00-04:00 UTC"), ("02:00-24:00 UTC", "02:00-24:00 UTC"),
            ("Mon-Fri 22:00-01:00", "Mon,Tue,Wed,Thu,Fri 22:00-01:00 UTC"),
            ("Sat-Mon 00:00-00:01", "Mon,Sat,Sun 00:00-00:01 UTC"),
            ("Thu,Tue 03:05-05:00", "Tue,Thu 03:05-05:00 UTC"), ("Mon-Sun 01:00-02:00", "01:00-02:00 UTC"),
        ]
        for (text, shown) in cases {
            let window = try #require(try Self.publication("directory: /x, window: \"\(text)\"").window)
            #expect(window.spans.map(\.text) == [shown])
            #expect(try Self.publication("directory: /x, window: \"\(shown)\"").window == window)
        }
        let two = try Self.publication("directory: /x, window: [Sat 02:00-04:00, Wed 01:00-02:00]")
        #expect(two.window?.spans.count == 2)
        #expect(try Self.publication("directory: /x").window == nil)
    }

    @Test func `has no window that could be meant otherwise`() {
        let texts = [
            "Sat", "sat 02:00-04:00", "Sat 2:00-4:00", "Sat 02:00", "Sat 02:00-02:00", "Sat 24:00-02:00",
            "Sat 02:00-25:00", "Sat 02:60-04:00", "Sat 02:00-04:00 CET", "Sat  02:00-04:00", "Sat 02:00 - 04:00",
            "Sat,Sat 02:00-04:00", "Fri-Sun,Sat 02:00-04:00", "Sat- 02:00-04:00", "Sat, 02:00-04:00",
            "Samstag 02:00-04:00",
            "UTC", "02:00-24:01", "-1:00-02:00", "Sat-Sun-Mon 02:00-04:00", "Sat 02:00-04:00 UTC UTC", "+2:00-04:00",
        ]
        for text in texts {
            #expect(throws: ConfigurationError.self, "\(text)") {
                try Self.publication("directory: /x, window: \"\(text)\"")
            }
        }
    }

    @Test func `knows what databases call their files`() throws {
        let postgres = try Self.publication("directory: /x, layout: postgresql")
        #expect(postgres.names == .init(chain: "server.crt", key: "server.key", authorities: "root.crt"))
        let named = try Self.publication("directory: /x, layout: yugabytedb")
        #expect(
            named.names == .init(chain: "node.db-1.example.crt", key: "node.db-1.example.key", authorities: "ca.crt"))
        let addressed = try Self.publication("directory: /x, layout: yugabytedb", names: "addresses: [10.0.0.5]")
        #expect(addressed.names.chain == "node.10.0.0.5.crt")
        let told = try Self.publication("directory: /x, layout: yugabytedb, host: 10.0.0.9, authorities-file: off")
        #expect(told.names == .init(chain: "node.10.0.0.9.crt", key: "node.10.0.0.9.key", authorities: nil))
        let own = try Self.publication("directory: /x, layout: postgresql, chain-file: a.crt, key-file: a.key")
        #expect(own.names == .init(chain: "a.crt", key: "a.key", authorities: "root.crt"))
    }

    @Test func `may say everything, and shows it again`() throws {
        let keys = """
            directory: /x, layout: pair, owner: a, group: b, mode: 0640, key-mode: 0440, reload: x, reload-timeout: 5m,
            check: { address: "db:5432", protocol: postgres }, by: unit
            """
        let publication = try Self.publication(keys)
        #expect(publication.group == "b" && publication.mode == 0o640 && publication.keyMode == 0o440)
        #expect(publication.reloadTimeout == .seconds(300) && publication.publisher == .unit)
        #expect(publication.check == .init(address: "db:5432", spoken: .postgres))
        let configuration = try NodeConfiguration.parse(Self.text(keys), path: "test")
        let shown = ConfigurationText.of(configuration)
        #expect(try NodeConfiguration.parse(shown, path: "shown") == configuration)
    }

    @Test func `may be one of files, which have no authorities to be written`() throws {
        let text = """
            certificates:
              roles: [ { name: own, files: { chain: /a, key: /b }, publish: { directory: /x, layout: postgresql } } ]
            """
        let configuration = try NodeConfiguration.parse(text, path: "test")
        let role = try #require(configuration.certificatesConfiguration().roles.first)
        #expect(role.publication?.names == .init(chain: "server.crt", key: "server.key", authorities: nil))
        let shown = ConfigurationText.of(configuration)
        #expect(try NodeConfiguration.parse(shown, path: "shown") == configuration)
        let wrong = text.replacing("layout: postgresql", with: "authorities-file: ca.pem")
        #expect(mistakes(wrong).contains { $0.contains("without 'management' there are no authorities") })
    }

    @Test(arguments: [
        ("layout: pair", "'directory' is missing"), ("directory: tls", "'tls' is no path"),
        ("directory: /x, layout: postgres", "did you mean 'postgresql'?"),
        ("directory: /x, chain-file: ../a", "'../a' is no file's name"),
        ("directory: /x, chain-file: a, key-file: a", "files of their own"),
        ("directory: /x, key-mode: 0644", "'0644' lets others at the key"),
        ("directory: /x, key-mode: 0700", "'0700' lets others at the key"),
        ("directory: /x, owner: \"a b\"", "'a b' is no user's or group's name"),
        ("directory: /x, reload-timeout: 5s", "'reload-timeout' says nothing without 'reload'"),
        ("directory: /x, reload: x, reload-timeout: 1d", "'1d' must be from 1s to 10m"),
        ("directory: /x, check: { address: db }", "'db' is no address"),
        ("directory: /x, check: { address: \"unix:/x\" }", "'unix:/x' is no address"),
        ("directory: /x, check: { protocol: tls }", "'address' is missing"),
        ("directory: /x, check: { address: \"db:1\", protocol: redis }", "'redis' is no protocol"),
        ("directory: /x, by: root", "'root' is no publisher"), ("directory: /x, reloads: x", "did you mean 'reload'?"),
    ])
    func `says what is wrong`(keys: String, words: String) {
        #expect(mistakes(Self.text(keys)).contains { $0.contains(words) }, "\(mistakes(Self.text(keys)))")
    }

    @Test func `has its folder and its owner looked for, each where it is named`() throws {
        let keys = "directory: /no/such, owner: no-such-user, group: no-such-group"
        let found = try NodeConfiguration.parse(Self.text(keys), path: "test").publicationMistakes
        #expect(found.map(\.text).contains("role files: there is no user no-such-user"), "\(found)")
        #expect(found.map(\.text).contains("role files: there is no group no-such-group"))
        #expect(found.allSatisfy { $0.position.line == 3 && $0.position.column > 60 })
        #expect(found.count == (Account.own == 0 ? 3 : 2))
        let right = try NodeConfiguration.parse(Self.text("directory: /tmp, owner: root, group: root"), path: "test")
        #expect(right.publicationMistakes == [])
    }

    @Test func `of YugabyteDB needs the host that its files are named by`() {
        let text = Self.text("directory: /x, layout: yugabytedb", names: "uris: [\"spiffe://a/b\"]")
        #expect(mistakes(text).contains { $0.contains("'yugabytedb' needs 'host'") })
    }
}

@Suite struct `The drop-in of the unit that publishes` {
    private func lines(_ roles: String, state: String = "/var/lib/nodeguard", path: String? = nil) throws -> [Substring]
    {
        let text = """
            node: { name: db-1, state: \(state) }
            management: { url: https://plane, join: /join }
            certificates: { roles: [ \(roles) ] }
            """
        let configuration = try NodeConfiguration.parse(text, path: "test")
        return PublishUnitDropIn(configuration, path: path ?? NodeConfiguration.defaultPath).text.split(separator: "\n")
    }

    @Test func `has the folders, each once, and no more rights than are needed`() throws {
        let found = try lines(
            """
            { name: a, names: [a], publish: { directory: /etc/tls, reload: [systemctl, reload, x] } },
            { name: b, names: [a], publish: { directory: /etc/tls, chain-file: c, key-file: k } },
            { name: c, names: [a], publish: { directory: "/srv/a b", by: unit } },
            { name: d, names: [a], publish: { directory: /not-here, by: daemon } }, { name: e, names: [a] }
            """)
        #expect(
            found.filter { !$0.hasPrefix("#") } == [
                "[Service]", "ReadWritePaths=/etc/tls", "ReadWritePaths=\"/srv/a b\"", "TimeoutStartSec=150",
            ])
    }

    @Test func `lets a reload command become the database's user, and shows homes where a folder is in one`() throws {
        let found = try lines(
            """
            { name: a, names: [a], publish: { directory: /home/yugabyte/certs, reload: [pg_ctlcluster, "15"],
              reload-timeout: 60s } }
            """)
        #expect(found.contains("CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL"))
        #expect(found.contains("ProtectHome=read-only") && found.contains("TimeoutStartSec=120"))
    }

    @Test func `follows configuration and state elsewhere`() throws {
        let found = try lines(
            "{ name: a, names: [a], publish: { directory: /etc/tls } }", state: "/srv/ng", path: "/srv/ng.yaml")
        #expect(found.contains("ExecStart=/usr/bin/nodeguard publish --config /srv/ng.yaml"))
        let odd = try lines("{ name: a, names: [a], publish: { directory: /etc/tls } }", path: "/srv/a $b%.yaml")
        #expect(odd.contains(#"ExecStart=/usr/bin/nodeguard publish --config "/srv/a $$b%%.yaml""#), "\(odd)")
        #expect(found.contains("ReadWritePaths=-/srv/ng/publish"))
        #expect(found.contains { $0.contains("PathChanged=/srv/ng/publish/request") })
    }
}
