import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `What a node reports` {
    let plane: RunningPlane
    let node: TestNode

    init() throws {
        plane = try RunningPlane()
        node = try TestNode.enrolled(plane, "db-1")
    }

    private func report(_ generation: Int64, instance: Character = "a") -> ObservedState {
        let digest = String(repeating: "0f", count: 32)
        return ObservedState(
            version: "1.2.3", instance: String(repeating: instance, count: 32), boot: "boot", generation: generation,
            time: 1_764_000_000, clockOffset: -2, planeTrust: .init(bundle: digest, anchors: [digest]),
            certificates: [
                .init(
                    role: "database", serial: "0A:1B", issuer: "CN=x", issuerKey: digest, notAfter: 1, chain: [digest])
            ],
            listeners: [
                .init(
                    name: "ysql", isTunnel: false, roles: ["database"], trust: nil, served: digest,
                    issuers: [.init(key: digest, peers: 3)], unknownCA: 4, refusingClients: 2, unknownIssuers: 5)
            ],
            desired: .init(version: 0, hash: nil, results: [], refusal: nil))
    }

    private func send(_ report: ObservedState) throws -> RunningPlane.Answer {
        try plane.call("PUT", ObservedState.path, body: try JSONEncoder.plane.encode(report), as: node)
    }

    private struct Line: Decodable {
        let node: String
        let finding: String?
        let reported: String?
        let observed: ObservedState?
    }

    private func line() throws -> Line? {
        let text = try plane.verb("nodes", "--json")
        return try JSONDecoder().decode([Line].self, from: Data(text.utf8)).first { $0.node == "db-1" }
    }

    @Test func `is what the nodes verb shows of it`() throws {
        #expect(try line()?.observed == nil)
        #expect(try send(report(1)).status == 204)
        let shown = try line()
        #expect(shown?.observed == report(1) && shown?.finding == nil && shown?.reported != nil)
        #expect(try plane.verb("nodes").contains("1.2.3"))
    }

    @Test func `gives away a folder that was set back, and a clone, in the plane's own log`() throws {
        #expect(try send(report(10)).status == 204)
        #expect(try send(report(4, instance: "b")).status == 204)
        #expect(try line()?.finding == "set-back")
        #expect(try send(report(11)).status == 204)
        #expect(try line()?.finding == "cloned")
        for generation in 12...15 {
            #expect(
                try send(report(Int64(generation), instance: generation.isMultiple(of: 2) ? "b" : "a")).status == 204)
        }
        let events = try plane.verb("audit", "tail", "--plane", "-n", "1000", "--json").split(separator: "\n")
        #expect(events.filter { $0.contains(#""name":"node.set-back""#) }.count == 1)
        #expect(events.filter { $0.contains(#""name":"node.cloned""#) }.count == 1)
        #expect(try plane.verb("nodes").contains("cloned"))
    }

    @Test func `is refused whole where it is malformed, too large or not what it should be`() throws {
        #expect(try send(report(1)).status == 204)
        let wrong: [(String, Int, String)] = [
            ("nonsense", 400, "malformed-request"), ("{}", 400, "malformed-request"),
            (String(repeating: " ", count: ObservedState.sizeLimit + 1), 413, "too-large"),
        ]
        for (text, status, reason) in wrong {
            let answer = try plane.call("PUT", ObservedState.path, body: Data(text.utf8), as: node)
            #expect(answer.status == status && answer.reason == reason, "\(text.prefix(20)): \(answer.text)")
        }
        var flawed = report(2)
        flawed.instance = "short"
        let answer = try send(flawed)
        #expect(answer.status == 422 && answer.reason == "report-not-valid", "\(answer.text)")
        #expect(try line()?.observed == report(1))
    }

    @Test func `is taken about once a second, and no more`() throws {
        var statuses: [Int] = []
        while statuses.count < 300, statuses.last != 429 {
            statuses.append(try send(report(Int64(statuses.count) + 1)).status)
        }
        #expect(statuses.prefix(30).allSatisfy { $0 == 204 })
        #expect(statuses.contains(429))
    }

    @Test func `goes away with the node`() throws {
        #expect(try send(report(1)).status == 204)
        try plane.verb("node", "remove", "db-1", "--cluster", "alpha")
        #expect(try line() == nil)
        #expect(try send(report(2)).status == 403)
    }
}
