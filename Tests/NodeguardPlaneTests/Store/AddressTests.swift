import Foundation
import Testing

@testable import nodeguard_plane

@Suite struct `The database's URL` {
    @Test(arguments: [
        "postgresql://plane@127.0.0.1:5433/plane", "postgres://plane@localhost/plane", "postgresql:///plane",
        "postgresql://plane@[::1]/plane", "postgresql://plane@/plane?host=/run/postgresql",
        "postgresql://plane@db.example/plane?hostaddr=127.0.0.1", "postgresql://plane@127.0.0.1,127.1.2.3/plane",
    ])
    func `needs no TLS within this machine`(url: String) throws {
        let address = try PostgresAddress(url)
        #expect(address.isLocal && address.options["dbname"] == "plane")
        #expect(address.options["target_session_attrs"] == "read-write" && address.options["connect_timeout"] == "5")
    }

    @Test(arguments: [
        "db.example", "10.0.0.1", "127.0.0.1,db.example", "[2001:db8::1]", "127.0.0.1.example", "localhost.example",
        "[::ffff:127.0.0.2]", "localhost/plane?hostaddr=192.0.2.1&x=", "0.0.0.0",
    ])
    func `needs verified TLS to anywhere else`(host: String) throws {
        let rest = host.contains("hostaddr") ? String(host.dropLast(3)) : host + "/plane?application_name=a"
        for mode in ["", "&sslmode=disable", "&sslmode=prefer", "&sslmode=require", "&sslmode=verify-ca"] {
            let problem = #expect(throws: PlaneProblem.self) { try PostgresAddress("postgresql://p@\(rest)\(mode)") }
            #expect(problem?.description.contains("sslmode=verify-full") == true, "\(rest)\(mode)")
        }
        let address = try PostgresAddress("postgresql://p@\(rest)&sslmode=verify-full")
        #expect(!address.isLocal && address.options["gssencmode"] == "disable")
    }

    @Test(arguments: [
        ("postgresql://plane:sesame@127.0.0.1/plane", "holds a password"),
        ("postgresql://plane@127.0.0.1/plane?password=sesame", "holds a password"),
        ("postgresql://plane@127.0.0.1/plane?sslpassword=sesame", "holds a password"),
        ("postgresql://plane:sesame@[127.0.0.1/plane", "cannot be read"),
        ("postgresql://plane@127.0.0.1/plane?nosuch=1", "nosuch"),
        ("postgresql://plane@127.0.0.1/plane?service=x", "service"),
        ("mysql://plane@127.0.0.1/plane", "no URL of PostgreSQL"), ("host=127.0.0.1", "no URL of PostgreSQL"),
        ("", "no URL of PostgreSQL"),
    ])
    func `is refused with a remedy, and never told with its password`(url: String, reason: String) {
        let problem = #expect(throws: PlaneProblem.self) { try PostgresAddress(url) }
        let text = problem?.description ?? ""
        #expect(text.contains(reason) && !text.contains("sesame"), "\(text)")
    }

    @Test func `may stand in the state folder, in one line`() throws {
        let folder = NSTemporaryDirectory() + "plane-url-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try StateFile.makeFolder(folder)
        #expect(try PostgresAddress.named(in: folder) == nil)
        for (text, isGood) in [
            ("postgresql://a@127.0.0.1/b\n", true), ("postgresql://a@127.0.0.1/b", true), ("", false),
            ("postgresql://a@127.0.0.1/b\npostgresql://a@127.0.0.1/c\n", false), ("plane.sqlite\n", false),
        ] {
            try StateFile.write(Array(text.utf8), to: folder + "/database")
            let address = try? PostgresAddress.named(in: folder)
            #expect((address?.description == "postgresql://127.0.0.1:5432/b") == isGood, "\(text)")
            if !isGood { #expect(throws: PlaneProblem.self) { try PostgresAddress.named(in: folder) } }
        }
    }
}
