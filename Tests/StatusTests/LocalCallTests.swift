import Testing

@testable import Status

@Suite struct `A local call` {
    @Test(
        arguments: [
            ("GET", "/livez", nil, LocalCall.live), ("GET", "/readyz", nil, .ready),
            ("GET", "/healthz", nil, .health(isVerbose: false)),
            ("GET", "/healthz", "verbose", .health(isVerbose: true)),
            ("GET", "/healthz", "a=b&verbose=1", .health(isVerbose: true)), ("GET", "/metrics", nil, .metrics),
            ("GET", "/v1/status", nil, .status), ("GET", "/v1/certificates", nil, .section("certificates")),
            ("GET", "/v1/audit", nil, .section("audit")), ("GET", "/v1/backups", nil, .section("backups")),
            ("GET", "/v1/connections", nil, .connections(after: 0, limit: 1000)),
            ("GET", "/v1/connections", "limit=7&after=18446744073709551615", .connections(after: .max, limit: 7)),
            ("POST", "/v1/reload", "wait", .reload(waits: true)), ("GET", "/v1/audit/events", nil, .events(count: 50)),
            ("GET", "/v1/audit/events", "count=1000", .events(count: 1000)), ("POST", "/v1/drain", nil, .drain),
            ("POST", "/v1/undrain", nil, .undrain), ("POST", "/v1/reload", nil, .reload(waits: false)),
            ("DELETE", "/v1/connections/2:17", nil, .kill(connection: "2:17")),
            ("POST", "/v1/certificates/database/renew", nil, .renew(role: "database")),
            ("GET", "/v1/bans", nil, .bans), ("DELETE", "/v1/bans", nil, .lift(network: nil)),
            ("DELETE", "/v1/bans/203.0.113.7", nil, .lift(network: "203.0.113.7")),
            ("DELETE", "/v1/bans/2001:db8::/48", nil, .lift(network: "2001:db8::/48")),
        ] as [(String, String, String?, LocalCall)])
    func `is known by its method and path`(method: String, path: String, query: String?, call: LocalCall) throws {
        #expect(try LocalCall(method: method, path: path, query: query) == call)
    }

    @Test(arguments: [
        "/", "", "/v1", "/v1/", "/livez/", "//livez", "/LIVEZ", "/v2/status", "/v1/certificates/database",
        "/v1/certificates/database/renew/now", "/v1/connections/1/2", "/v1/bans/1/2/3", "/v1/%73tatus",
        "/../etc/passwd",
    ])
    func `is refused at a path that does not exist`(path: String) {
        #expect(throws: LocalCall.Flaw.unknownPath) { try LocalCall(method: "GET", path: path, query: nil) }
    }

    @Test(arguments: [
        ("POST", "/v1/status", "GET"), ("HEAD", "/livez", "GET"), ("GET", "/v1/drain", "POST"),
        ("POST", "/v1/connections/1", "DELETE"), ("GET", "/v1/certificates/database/renew", "POST"),
        ("get", "/livez", "GET"), ("GET", "/v1/bans/10.0.0.1", "DELETE"), ("POST", "/v1/bans", "GET, DELETE"),
    ])
    func `is refused with a method that its path does not take`(method: String, path: String, allowed: String) {
        #expect(throws: LocalCall.Flaw.wrongMethod(allowed: allowed)) {
            try LocalCall(method: method, path: path, query: nil)
        }
    }

    @Test(
        arguments: [
            ("POST", "/v1/certificates/a%2Fb/renew", nil), ("POST", "/v1/certificates//renew", nil),
            ("DELETE", "/v1/connections/", nil), ("DELETE", "/v1/connections/1;2", nil),
            ("DELETE", "/v1/connections/" + String(repeating: "a", count: 129), nil),
            ("GET", "/v1/audit/events", "count=0"), ("GET", "/v1/audit/events", "count=1001"),
            ("GET", "/v1/audit/events", "count=-1"), ("GET", "/v1/audit/events", "count=x"),
            ("GET", "/v1/audit/events", "n=3"), ("GET", "/v1/connections", "limit=0"),
            ("GET", "/v1/connections", "limit=1001"), ("GET", "/v1/connections", "after=-1"),
            ("GET", "/v1/connections", "after=1&"), ("GET", "/v1/connections", "after"),
            ("POST", "/v1/reload", "wait=1"), ("DELETE", "/v1/bans/", nil), ("DELETE", "/v1/bans/10.0.0.0/", nil),
        ] as [(String, String, String?)])
    func `is refused with a name or number that cannot be`(method: String, path: String, query: String?) {
        do {
            _ = try LocalCall(method: method, path: path, query: query)
            Issue.record("accepted \(path)")
        } catch {
            guard case .badArgument = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test func `belongs to the control socket if it changes something or names peers`() {
        let open: [LocalCall] = [.live, .ready, .health(isVerbose: true), .status, .metrics, .section("audit")]
        let closed: [LocalCall] = [
            .connections(after: 0, limit: 1), .events(count: 1), .renew(role: "a"), .kill(connection: "1"), .drain,
            .undrain, .reload(waits: false), .bans, .lift(network: nil),
        ]
        #expect(open.allSatisfy { !$0.needsControl })
        #expect(closed.allSatisfy { $0.needsControl })
    }
}
