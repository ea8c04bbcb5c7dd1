import Foundation
import TestSupport
import Testing

/// What the plane signs with keys that it does not have, as a real node takes it.
@Suite(.serialized) struct `A fleet whose plane has its keys in a token` {
    @Test func `joins, serves, and follows what is desired, through a restart of the plane`() async throws {
        let tokens = try TestTokens()
        try tokens.make("plane")
        let fleet = try await Fleet(hsm: tokens.store("plane"))
        let isServed = await eventually(within: 30) { (try? fleet.psql("select 1", as: "shop").output) == "1\n" }
        #expect(isServed, "\(fleet.agent.log)")
        // What it signs from now on it signs with keys that it has found again.
        try await fleet.restartPlane()
        let file = fleet.folder + "/desired.json"
        try #"{"deny":[{"uri":"spiffe://cluster-a/app/shop"}]}"#.write(toFile: file, atomically: true, encoding: .utf8)
        try fleet.command(["desired", "set", file, "--cluster", Fleet.cluster])
        let isDenied = await eventually(within: 60) {
            (try? fleet.psql("select 1", as: "shop").errors.contains("denied")) == true
        }
        #expect(isDenied, "\(fleet.agent.log)")
        #expect(try fleet.nodeguard(["audit", "tail"]).output.contains("desired-state.applied"))
        #expect(try fleet.command(["status"]).output.contains("keys: token\n"))
    }
}
