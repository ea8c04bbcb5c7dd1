import Testing

@testable import PlaneClient

@Suite struct `A redirect` {
    private static let url = "https://plane.example:8443/.well-known/est/alpha/simpleenroll"

    private func target(_ location: String?, from url: String = Self.url) -> String? {
        try? Redirect.target(location, from: url, doing: "ask")
    }

    @Test(arguments: [
        ("/est/alpha", "https://plane.example:8443/est/alpha"),
        ("https://plane.example:8443/est?x=1#top", "https://plane.example:8443/est?x=1"),
        ("HTTPS://PLANE.example:8443/Est", "HTTPS://PLANE.example:8443/Est"),
        ("//plane.example:8443/est", "https://plane.example:8443/est"),
    ])
    func `within the origin is followed`(location: String, expected: String) {
        #expect(target(location) == expected)
    }

    @Test func `knows the usual port`() {
        #expect(target("https://plane/x", from: "https://plane:443/y") == "https://plane/x")
        #expect(target("https://plane:443/x", from: "https://plane/y") == "https://plane:443/x")
        #expect(target("https://[::1]:8443/x", from: "https://[::1]:8443/y") == "https://[::1]:8443/x")
    }

    @Test(arguments: [
        nil, "", "http://plane.example:8443/est", "https://plane.example/est", "https://plane.example:8444/est",
        "https://evil.example:8443/est", "https://plane.example:8443.evil/est", "//evil/est", "est", "?x", "ftp://x",
        "https://plane.example:8443@evil/est", "https://a@plane.example:8443/", "/\\evil/est", "/a b", "/a\r\nX: y",
        "https://", "https:///est", "https://plane.example:8443?x@evil/",
        "https://plane.example:8443#@evil/",
        "/\u{E4}", "/" + String(repeating: "a", count: 3000),
    ])
    func `to anywhere else is not`(location: String?) {
        #expect(target(location) == nil)
    }

    @Test func `that is not followed is told, and can forge no line`() {
        do {
            _ = try Redirect.target("https://evil/\n\u{1B}[2J", from: Self.url, doing: "ask")
            Issue.record("followed")
        } catch {
            #expect(error.kind == .redirect && !error.detail.contains("\n") && !error.detail.contains("\u{1B}"))
        }
    }
}
