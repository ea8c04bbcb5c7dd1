import Audit
import Testing

@testable import nodeguard

@Suite struct `A full spool's policies` {
    private func configuration(_ policies: String) throws -> NodeConfiguration {
        try NodeConfiguration.parse(
            "node: { name: a }\naudit: { spool: { when-full: \(policies) } }", path: "test")
    }

    @Test func `let the oldest events give way, unless the file says otherwise`() throws {
        let usual = try NodeConfiguration.parse("node: { name: a }", path: "test").audit.whenFull
        #expect(usual == FullPolicies())
        #expect(usual.connection == .dropOldest && usual.backup == .dropOldest && usual.agent == .dropOldest)
    }

    @Test func `are those that the file gives to each class`() throws {
        let read = try configuration(
            "{ connection: refuse-connections, backup: drop-newest, security: never-drop }"
        ).audit.whenFull
        #expect(read.connection == .refuseConnections)
        #expect(read.backup == .dropNewest)
        #expect(read.agent == .dropOldest)
    }

    @Test(arguments: [
        ("{ security: drop-oldest }", "security events are never dropped"),
        ("{ connection: block }", "nobody waits for the log: write refuse-conn"),
        ("{ agent: never-drop }", "only security events are never dropped"),
        ("{ backup: drop-old }", "is no policy; did you mean 'drop-oldest'?"),
    ])
    func `that cannot be are refused`(policies: String, expected: String) {
        let found = mistakes("node: { name: a }\naudit: { spool: { when-full: \(policies) } }")
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }
}
