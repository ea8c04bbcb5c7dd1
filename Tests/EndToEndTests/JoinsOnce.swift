import Foundation
import Testing

@Suite(.serialized) struct `Joining` {
    @Test func `uses the token once, and leaves it in no file, log or argument`() async throws {
        let fleet = try await Fleet(start: false)
        let bundlePath = fleet.folder + "/node/join/bundle"
        let bundle = try String(contentsOfFile: bundlePath, encoding: .utf8).trimmingCharacters(
            in: .whitespacesAndNewlines)
        let token = try token(in: bundle)
        try fleet.startAgent()
        try await fleet.waitUntilReady()

        #expect(!FileManager.default.fileExists(atPath: bundlePath))
        let found = try Program.shell(
            "grep -rlaF -e '\(token)' -e '\(bundle)' \(fleet.folder)/node \(fleet.folder)/*.log; true")
        #expect(found.output == "")
        let process = try Program.shell(
            "cd /proc/\(fleet.agent.identifier) && tr '\\0' '\\n' <cmdline && tr '\\0' '\\n' <environ"
        )
        #expect(process.status == 0 && process.output.contains("PATH="), "\(process)")
        #expect(!process.output.contains(token))

        fleet.agent.stop()
        try FileManager.default.removeItem(atPath: fleet.folder + "/node")
        try FileManager.default.createDirectory(atPath: fleet.folder + "/node/join", withIntermediateDirectories: true)
        try bundle.write(toFile: bundlePath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        let isSaid = await eventually(within: 20) {
            fleet.agent.log.contains(/token/) && fleet.httpStatus("/readyz") == "503"
        }
        #expect(isSaid, "\(fleet.agent.log)")
        #expect(fleet.agent.isRunning)
        #expect(!fleet.agent.log.contains(token))
        #expect(try codes(of: fleet).contains("JOIN_TOKEN_REFUSED"))
    }

    @Test func `never sends the token to a plane that does not have the pinned root`() async throws {
        let fleet = try await Fleet(start: false)
        let path = fleet.folder + "/node/join/bundle"
        let bundle = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        try with(pins: ["sha256:" + String(repeating: "0", count: 64)], in: bundle)
            .write(toFile: path, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        let isSaid = await eventually(within: 20) { (try? codes(of: fleet))?.contains("JOIN_PIN_MISMATCH") == true }
        #expect(isSaid, "\(fleet.agent.log)")
        #expect(fleet.agent.isRunning)

        // The token is still good: it never left the node. A right bundle dropped in is taken up without a restart.
        try bundle.write(toFile: path, atomically: true, encoding: .utf8)
        try await fleet.waitUntilReady(within: 60)
    }

    @Test func `says in one line what is wrong with a bundle, and waits for a better one`() async throws {
        let fleet = try await Fleet(start: false)
        let path = fleet.folder + "/node/join/bundle"
        let bundle = try String(contentsOfFile: path, encoding: .utf8)
        try "nodeguard-join:1:@@@".write(toFile: path, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        let isSaid = await eventually(within: 20) {
            (try? codes(of: fleet))?.contains("JOIN_BUNDLE_UNREADABLE") == true
        }
        #expect(isSaid, "\(fleet.agent.log)")
        try bundle.write(toFile: path, atomically: true, encoding: .utf8)
        try await fleet.waitUntilReady(within: 60)
    }

    @Test func `later tells the cluster: nothing is written under a name that cannot be kept`() async throws {
        let fleet = try await Fleet(start: false)
        let path = fleet.folder + "/node/join/bundle"
        let bundle = try String(contentsOfFile: path, encoding: .utf8)
        try FileManager.default.removeItem(atPath: path)
        try fleet.configuration.replacing(", cluster: \(Fleet.cluster)", with: "")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        let isWaiting = await eventually(within: 20) { (try? codes(of: fleet)) == ["JOIN_BUNDLE_AWAITED"] }
        #expect(isWaiting, "\(fleet.agent.log)")
        #expect(fleet.httpStatus("/readyz") == "503" && fleet.httpStatus("/livez") == "200")
        try bundle.write(toFile: path, atomically: true, encoding: .utf8)
        try await fleet.waitUntilReady(within: 60)
        #expect(try fleet.status()["cluster"] as? String == Fleet.cluster)
        #expect(try fleet.psql("select 1").output == "1\n")
        #expect(try fleet.nodeguard(["backup", "put", "base"], input: "hello").status == 0)
        let hasArrived = await eventually(within: 20) {
            (try? fleet.arrivedEvents())?.contains("backup.completed") == true
        }
        #expect(hasArrived, "\(fleet.agent.log)")
        #expect(try fleet.auditVerdict().status == 0)
        fleet.agent.stop()
        try fleet.startAgent()
        try await fleet.waitUntilReady()
        #expect(try fleet.nodeguard(["backup", "get", "base"]).output == "hello")
        #expect(!FileManager.default.fileExists(atPath: fleet.folder + "/node/quarantine"))
    }

    @Test func `can be given up: a daemon that waits for its bundle stops when it is told to`() async throws {
        let fleet = try await Fleet(start: false)
        try FileManager.default.removeItem(atPath: fleet.folder + "/node/join/bundle")
        try fleet.configuration.replacing(", cluster: \(Fleet.cluster)", with: "")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        try fleet.startAgent()
        let isWaiting = await eventually(within: 20) { fleet.httpStatus("/livez") == "200" }
        #expect(isWaiting)
        #expect(fleet.agent.stop() == 0)
    }

    @Test func `waits for a plane that is away`() async throws {
        let fleet = try await Fleet(start: false)
        fleet.plane.kill()
        try fleet.startAgent()
        let isSaid = await eventually(within: 20) { (try? codes(of: fleet))?.contains("PLANE_UNREACHABLE") == true }
        #expect(isSaid, "\(fleet.agent.log)")
        try await fleet.restartPlane()
        try await fleet.waitUntilReady(within: 60)
    }

    private func codes(of fleet: Fleet) throws -> [String] {
        let reasons = try fleet.status()["reasons"] as? [[String: Any]] ?? []
        return reasons.compactMap { $0["code"] as? String }
    }

    private func fields(of bundle: String) throws -> [String: Any] {
        var base64 = bundle.dropFirst("nodeguard-join:1:".count).replacing("-", with: "+").replacing("_", with: "/")
        base64 += String(repeating: "=", count: (4 - base64.count % 4) % 4)
        let json = try JSONSerialization.jsonObject(with: try #require(Data(base64Encoded: String(base64))))
        return try #require(json as? [String: Any])
    }

    private func token(in bundle: String) throws -> String { try #require(try fields(of: bundle)["token"] as? String) }

    private func with(pins: [String], in bundle: String) throws -> String {
        var all = try fields(of: bundle)
        all["pins"] = pins
        let text = try JSONSerialization.data(withJSONObject: all).base64EncodedString()
        return "nodeguard-join:1:" + text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
