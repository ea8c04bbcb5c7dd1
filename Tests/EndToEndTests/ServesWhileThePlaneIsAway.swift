import Foundation
import Testing

@Suite(.serialized) struct `While the plane is away` {
    @Test func `clients are served, events are kept, and all of them arrive afterwards`() async throws {
        let fleet = try await Fleet()
        #expect(try fleet.psql("select 1").status == 0)
        fleet.plane.kill()
        for number in 1...20 { #expect(try fleet.psql("select \(number)").output == "\(number)\n") }
        #expect(fleet.httpStatus("/readyz") == "200")
        try await fleet.restartPlane()
        let haveArrived = await eventually(within: 90) {
            ((try? fleet.arrivedEvents())?.components(separatedBy: "connection.accepted").count ?? 0) >= 22
        }
        #expect(haveArrived)
        let verdict = try fleet.auditVerdict()
        #expect(verdict.status == 0, "\(verdict)")
    }

    @Test func `a restart of the agent serves from what is on disk`() async throws {
        let fleet = try await Fleet()
        fleet.plane.kill()
        #expect(fleet.agent.stop() == 0)
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(try fleet.psql("select 7").output == "7\n")
    }
}
