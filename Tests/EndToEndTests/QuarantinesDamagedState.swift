import Foundation
import Testing

@Suite(.serialized) struct `Damaged state` {
    @Test func `is moved aside, reported and audited, and service goes on`() async throws {
        let fleet = try await Fleet()
        #expect(fleet.agent.stop() == 0)
        let spool = fleet.folder + "/node/audit.sqlite"
        try #require(FileManager.default.fileExists(atPath: spool))
        try Data(repeating: 0x5A, count: 20_000).write(to: URL(fileURLWithPath: spool))
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(try fleet.psql("select 1").status == 0)
        let aside = try FileManager.default.subpathsOfDirectory(atPath: fleet.folder + "/node/quarantine")
        #expect(aside.contains { $0.contains("audit.sqlite") }, "\(aside)")
        let isAudited = await eventually(within: 20) {
            (try? fleet.arrivedEvents())?.contains("state.quarantined") == true
        }
        #expect(isAudited)
        #expect(try fleet.auditVerdict().status == 0)
    }

    @Test func `of a certificate falls back on the generation before, or asks for a new one`() async throws {
        let fleet = try await Fleet()
        #expect(fleet.agent.stop() == 0)
        let chain = fleet.folder + "/node/certificates/database/current/chain.pem"
        try Data("-----BEGIN CERTIFICATE-----\nnonsense\n".utf8).write(to: URL(fileURLWithPath: chain))
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(try fleet.psql("select 1").status == 0)
    }
}
