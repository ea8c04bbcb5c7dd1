import Testing

@testable import nodeguard

@Suite struct `Another EST server` {
    @Test func `is where, at which label and for which user the file says`() throws {
        let est = "{ url: 'https://est:2/', label: db, user: 'join@x' }"
        let read = try NodeConfiguration.parse(
            "node: { name: a }\nmanagement: { url: 'https://plane:1/', est: \(est) }", path: "test")
        #expect(read.management?.est == ManagementSection.EST(url: "https://est:2", label: "db", user: "join@x"))
    }

    @Test(arguments: ["a:b", "a b", "ä", String(repeating: "a", count: 129)])
    func `has no user that HTTP Basic cannot carry`(user: String) {
        let text = "node: { name: a }\nmanagement: { url: 'https://plane:1/', est: { user: '\(user)' } }"
        #expect(mistakes(text).contains { $0.contains("'\(user)' is no user name") }, "\(mistakes(text))")
    }
}
