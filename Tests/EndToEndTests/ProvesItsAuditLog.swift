import Foundation
import Testing

@Suite(.serialized) struct `The audit log` {
    @Test func `is cosigned, and its export verifies anywhere, but not with one byte or line changed`() async throws {
        let fleet = try await Fleet()
        for _ in 0..<3 { #expect(try fleet.psql("select 1").status == 0) }
        let isCosigned = await eventually(within: 30) { [fleet] in
            let audit = try? fleet.status()["audit"] as? [String: Any]
            return (audit?["cosigned"] as? Int ?? 0) > 5 && audit?["spooled_events"] as? Int == 0
        }
        #expect(isCosigned, "\(fleet.agent.log)")
        #expect(try fleet.nodeguard(["status"]).output.contains("cosigned by the plane up to"))

        let keys = try fleet.command(["audit", "keys"]).output
        let witness = try #require(keys.split(separator: "\n").last)
        #expect(try fleet.nodeguard(["audit", "spool"]).output.contains(witness))
        try keys.write(toFile: fleet.folder + "/keys", atomically: true, encoding: .utf8)
        let export = try fleet.command(["audit", "export", "--node", Fleet.node]).output

        let intact = try verify(export, fleet, ["--key", fleet.folder + "/keys"])
        #expect(intact.status == 0 && intact.output.hasPrefix("intact: "), "\(intact)")
        #expect(intact.output.contains("the node's signature holds, the plane's cosignature holds"), "\(intact)")
        #expect(try verify(export, fleet, ["--key", String(witness), "--json"]).output.contains("\"signed\":null"))
        #expect(try verify(export, fleet, []).output.contains("its signature was not checked"))
        try checkChanges(of: export, fleet)
        try checkThePlanesOwn(fleet)
    }

    /// The plane's log is verified by the agent's codec, with the keys that the plane names.
    private func checkThePlanesOwn(_ fleet: Fleet) throws {
        let export = try fleet.command(["audit", "export", "--plane"]).output
        let options = ["--key", fleet.folder + "/keys"]
        let intact = try verify(export, fleet, options)
        #expect(intact.status == 0 && intact.output.contains(" events of nodeguard-plane/"), "\(intact)")
        #expect(intact.output.contains("the plane's signature holds, the plane's cosignature holds"), "\(intact)")
        let changed = export.replacing("token.create", with: "token.delete")
        #expect(try changed != export && verify(changed, fleet, options).output.hasPrefix("BROKEN: "))
    }

    private func verify(_ export: String, _ fleet: Fleet, _ options: [String]) throws -> Outcome {
        try fleet.nodeguard(["audit", "verify", "-"] + options, input: export)
    }

    private func checkChanges(of export: String, _ fleet: Fleet) throws {
        let lines = export.components(separatedBy: "\n")
        func changed(_ change: (inout [String]) -> Void) -> String {
            var copy = lines
            change(&copy)
            return copy.joined(separator: "\n")
        }
        let cases = [
            (changed { $0.remove(at: 2) }, "event 3 is missing, or moved: event 4 stands in its place"),
            (changed { $0.swapAt(1, 2) }, "event 2 is missing, or moved: event 3 stands in its place"),
            (changed { $0.insert($0[3], at: 3) }, "event 4 stands once more in the place of event 5"),
            (changed { $0[0] = $0[0].replacing("\"success\"", with: "\"refused\"") }, "was changed, or the checkpoint"),
            (changed { $0[4] = $0[4].replacing("\"node\":\"db-1\"", with: "\"node\":\"db-2\"") }, "event 5 is of "),
            (changed { $0[1] = $0[1].replacing(":", with: " :") }, "event 2 was changed: it is not in canonical form"),
            (changed { $0 = Array($0[..<4]) }, "without a checkpoint: it was cut"),
            (changed { $0[$0.count - 2].removeLast(2) }, "malformed"),
            (changed { $0.remove(at: $0.count - 2) }, "not cosigned by the given witness"),
        ]
        for (text, words) in cases {
            let outcome = try verify(text, fleet, ["--key", fleet.folder + "/keys"])
            #expect(outcome.status == 2 && outcome.output.hasPrefix("BROKEN: "), "\(words): \(outcome)")
            #expect(outcome.output.contains(words), "\(outcome)")
            #expect(outcome.lines.count == 1)
        }
    }
}
