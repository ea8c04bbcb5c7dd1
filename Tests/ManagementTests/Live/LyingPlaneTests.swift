import Foundation
import OpenSSL
import PlaneAPI
import Reports
import TestSupport
import Testing

@testable import Management

@Suite(.serialized) struct `A plane that lies` {
    private typealias Signed = SignedStates
    private typealias Answer = LyingPlane.Answer

    private static let tag = [#"ETag: "7""#, "Preference-Applied: wait=50"]
    private static func good(_ version: Int64 = 7) throws -> Answer {
        Answer("200 OK", tag, try Signed.signed(Signed.state(version)))
    }

    /// A node that has applied version 7, and the answer that said so.
    private func node(_ plane: LyingPlane) async throws -> (LiedToNode, DesiredStateFetcher, good: Answer) {
        let node = try await LiedToNode(plane)
        let good = try Self.good()
        try plane.answer(good)
        let fetcher = node.startDesired()
        try await node.asks { node.stored != nil }
        return (node, fetcher, good)
    }

    @Test func `by its HTTP changes nothing of what is applied, and is said to`() async throws {
        let plane = try await LyingPlane()
        let (node, fetcher, good) = try await node(plane)
        let newer = try Signed.signed(Signed.state(8))
        for lie in LyingPlane.lies(about: newer, limit: DesiredState.sizeLimit) {
            try plane.answer(lie.answer)
            try await node.asks { node.codes.contains("DESIRED_STATE_NOT_FETCHED") }
            let detail = node.detail("DESIRED_STATE_NOT_FETCHED")
            #expect(detail.contains(lie.words), "\(lie.name): \(detail)")
            #expect(detail.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "\(lie.name): \(detail)")
            #expect(await fetcher.observed().version == 7, "\(lie.name)")
            #expect(node.stored == good.body && node.applied.count == 1, "\(lie.name)")
            try plane.answer(good)
            try await node.asks { node.codes.isEmpty }
        }
        #expect(node.events.count == 1, "nothing but version 7 was ever applied or refused: \(node.events)")
        await node.stop()
    }

    @Test func `by its signed words changes nothing either`() async throws {
        let plane = try await LyingPlane()
        let (node, fetcher, good) = try await node(plane)
        let stranger = try Signed.make(organization: "beta")
        let cases: [([UInt8], DesiredRefusal.Reason)] = [
            (Array("<html>hello</html>".utf8), .malformedEnvelope), ([], .malformedEnvelope),
            ([0xFF, 0x00, 0x1B], .malformedEnvelope), (Array(good.body.dropLast(9)), .malformedEnvelope),
            (try Signed.signed(Signed.state(6)), .olderVersion),
            (try Signed.signed(Signed.state(7) { $0.expiresAt += 1 }), .sameVersion),
            (try Signed.signed(Signed.state(8) { $0.cluster = "beta" }), .otherCluster),
            (try Signed.signed(Signed.state(8) { $0.node = "db-2" }), .otherNode),
            (try Signed.signed(Signed.state(8), by: stranger), .keyOfAnotherCluster),
            (try Signed.signed(Signed.state(8) { $0.expiresAt = Signed.now - 1 }), .expired),
            (try Signed.signed(Signed.state(8) { $0.issuedAt = Signed.now + 1800 }), .fromTheFuture),
        ]
        for (index, (body, reason)) in cases.enumerated() {
            try plane.answer(Answer("200 OK", [#"ETag: "lie-\#(index)""#], body))
            try await node.asks { await fetcher.observed().refusal?.reason == reason.rawValue }
            #expect(node.detail("DESIRED_STATE_REFUSED").contains(reason.rawValue))
            #expect(node.events.last?.outcome == .refused, "case \(index)")
            #expect(node.stored == good.body && node.applied.count == 1, "case \(index)")
            #expect(plane.requests.last?.contains(#" "7" "#) == true, "what was refused is never named as known")
            try plane.answer(good)
            try await node.asks { node.codes.isEmpty }
        }
        try plane.answer(Answer("204 No Content"))
        try await node.asks { await fetcher.observed().refusal?.reason == DesiredRefusal.Reason.withdrawn.rawValue }
        #expect(await fetcher.observed().version == 7 && node.stored == good.body)
        await node.stop()
    }

    @Test func `of what nobody has named leaves a new node without a desired state`() async throws {
        let plane = try await LyingPlane()
        let node = try await LiedToNode(plane)
        try plane.answer(Answer("304 Not Modified", Self.tag))
        let fetcher = node.startDesired()
        try await node.asks { node.codes.contains("DESIRED_STATE_NOT_FETCHED") }
        #expect(node.detail("DESIRED_STATE_NOT_FETCHED").contains("no tag was named"))
        #expect(await fetcher.observed().version == 0 && node.stored == nil && node.applied.isEmpty)
        try plane.answer(try Self.good())
        try await node.asks { node.stored != nil }
        await node.stop()
    }

    /// Its tag cannot be named again: the whole is asked for each time, and what is known is not applied twice.
    @Test func `about its tags is asked for all of it`() async throws {
        let plane = try await LyingPlane()
        let node = try await LiedToNode(plane)
        var answer = try Self.good()
        answer.headers = ["ETag: 7\t\"; \u{7F}", "Preference-Applied: wait=50"]
        try plane.answer(answer)
        _ = node.startDesired()
        try await node.asks { plane.requests.count > 3 }
        #expect(plane.requests.allSatisfy { $0.hasSuffix(" - 0") } && node.applied.count == 1)
        await node.stop()
    }

    /// Byte by byte it takes its time, and counts when it is whole; that no answer takes longer than its question may,
    /// HTTPTests see to.
    @Test func `by being slow is waited for`() async throws {
        let plane = try await LyingPlane()
        let (node, fetcher, _) = try await node(plane)
        var slow = try Self.good(8)
        slow.drip = 1
        try plane.answer(slow)
        try await node.asks { await fetcher.observed().version == 8 }
        #expect(node.stored == slow.body)
        await node.stop()
    }

    @Test func `about reports is reported to again, by numbers that go up`() async throws {
        let plane = try await LyingPlane()
        let node = try await LiedToNode(plane)
        try plane.answer(Answer("204 No Content"))
        node.startReporting()
        try await node.asks { node.health.snapshot.sections["observed"] != nil }
        // Whatever a plane says beside a success is not read.
        let lies = LyingPlane.lies(about: Array("{}".utf8), limit: 1 << 20).filter { $0.answer.status != "299 Fine" }
        for lie in lies {
            try plane.answer(lie.answer)
            try await node.asks { node.codes.contains("OBSERVED_NOT_REPORTED") }
            let detail = node.detail("OBSERVED_NOT_REPORTED")
            #expect(detail.contains(lie.words), "\(lie.name): \(detail)")
            try plane.answer(Answer("204 No Content", ["Date: Fri, 31 Dec 9999 23:59:59 GMT"]))
            try await node.asks { node.codes.isEmpty }
        }
        #expect(plane.requests.allSatisfy { $0.hasPrefix("PUT /v1/nodes/self/observed - ") })
        await node.stop()
    }
}
