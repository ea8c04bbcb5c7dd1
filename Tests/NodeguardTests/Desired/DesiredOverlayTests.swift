import Certificates
import Management
import PlaneAPI
import Proxy
import Testing

@testable import nodeguard

@Suite struct `A desired state on this node` {
    private func configuration() throws -> NodeConfiguration {
        try NodeConfiguration.parse(
            """
            node: { name: db-1, cluster: c }
            management: { url: "https://plane" }
            certificates: { roles: [ { name: database, names: [db] } ] }
            proxy:
              listeners:
                - { name: ysql, listen: ["127.0.0.1:1"], protocol: postgres, backend: "127.0.0.1:2",
                    certificate: database, trust: [cluster] }
                - { name: ycql, listen: ["127.0.0.1:3"], protocol: cassandra, backend: "127.0.0.1:4",
                    certificate: database, trust: [cluster] }
            """, path: "test")
    }

    private func overlay(_ text: String) throws -> DesiredOverlay {
        try DesiredOverlay(DesiredContent(reading: Array(text.utf8)), on: configuration())
    }

    @Test func `says of each part what becomes of it`() throws {
        let overlay = try overlay(
            """
            {"deny":[{"dns":"x"}],"listeners":{"ysql":{"allow":[{"database-user":"a"}]},"other":{}},
             "roles":{"database":{"dns":"y","addresses":["127.0.0.1","::1"]},"nobody":{"dns":"z"}}}
            """)
        #expect(
            overlay.results.map { "\($0.resource) \($0.outcome)" } == [
                "deny applied", "listener other absent", "listener ysql applied", "role database applied",
                "role nobody absent",
            ])
        #expect(overlay.denied.count == 1 && Array(overlay.narrowings.keys) == ["ysql"])
        #expect(overlay.names["database"]?.dnsNames == ["y"] && overlay.names["database"]?.addresses.count == 2)
    }

    @Test(arguments: [
        (#"{"listeners":{"ycql":{"deny":[{"database-user":"a"}]}}}"#, "only the protocol postgres"),
        (#"{"listeners":{"ycql":{"deny":[{"any":[{"database":"a"}]}]}}}"#, "only the protocol postgres"),
        (#"{"listeners":{"ycql":{"allow":[{"dns":"a","replication":"yes"}]}}}"#, "listeners.ycql.allow[0]"),
        (#"{"listeners":{"ysql":{"deny":[{"dns":"a"},{"ip":"nowhere"}]}}}"#, "listeners.ysql.deny[1]: ip \"nowhere\""),
        (#"{"listeners":{"ysql":{"deny":[{"usage":"no such usage"}]}}}"#, "no extended key usage"),
        (#"{"deny":[{"dns":"a"},{"ip":"nowhere"}]}"#, "deny:2:"),
        (#"{"roles":{"database":{"addresses":"nowhere"}}}"#, "roles.database.addresses: 'nowhere'"),
    ]) func `does not fit, with the place that does not`(text: String, word: String) throws {
        do {
            _ = try overlay(text)
            Issue.record("it fits: \(text)")
        } catch let refusal as DesiredRefusal {
            #expect(refusal.reason == .notApplicable && refusal.detail.contains(word), "\(refusal)")
        }
    }

    /// The plane checks names of keys without the agent's code.
    @Test func `has rules and entries of exactly the keys that this agent knows`() throws {
        #expect(Set(DesiredRule.keys) == Set(AccessRule.Key.allCases.map(\.rawValue)))
        for key in DesiredDenial.keys {
            let value = [
                "ip": "10.0.0.1", "serial": "0A", "spki": "sha256:" + String(repeating: "0a", count: 32),
                "uri": "spiffe://a/b",
            ][key]
            let denial = DesiredDenial(key: key, value: value ?? "a", issuer: key == "serial" ? "CN=x" : nil)
            #expect(try DenyList(text: Array((denial.line + "\n").utf8), path: "deny").count == 1, "\(key)")
        }
    }
}
