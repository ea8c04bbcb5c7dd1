import Foundation
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `The CRLs of the cluster` {
    /// The job, running, and what it has handed out and said.
    private final class Subject: Sendable {
        struct Heard: Sendable {
            var lists: [[RevocationList]] = []
            var events: [AuditEvent] = []
        }

        let fetcher: RevocationFetcher
        let health = HealthBoard(conditions: [])
        let metrics = Metrics()
        private let heard = Shared()
        private let task: Task<Void, Never>

        private final class Shared: Sendable {
            let heard = Mutex(Heard())
        }

        init(_ server: ListServer, _ state: TemporaryDirectory) {
            let heard = heard
            fetcher = RevocationFetcher(
                cluster: "alpha", stateDirectory: state.path, plane: server.plane,
                receiver: { lists, _ in heard.heard.withLock { $0.lists.append(lists) } }, health: health,
                metrics: metrics, audit: AuditReporter { event in heard.heard.withLock { $0.events.append(event) } })
            task = Task { [fetcher] in await fetcher.run() }
        }

        var lists: [[RevocationList]] { heard.heard.withLock { $0.lists } }
        var numbers: [String] { (lists.last ?? []).map { $0.number ?? "none" } }
        var events: [AuditEvent] { heard.heard.withLock { $0.events } }
        var codes: Set<String> { Set(health.snapshot.reasons.map(\.code)) }
        func detail(_ code: String) -> String { health.snapshot.reasons.first { $0.code == code }?.detail ?? "" }

        func waits(_ condition: (Subject) -> Bool) async throws {
            if await eventually(within: 40, { condition(self) }) { return }
            throw TestSupportError("it did not come to that: \(numbers) \(health.snapshot)")
        }

        func stop() async {
            task.cancel()
            await task.value
        }
    }

    private let state: TemporaryDirectory

    init() throws { state = try temporaryDirectory() }

    @Test func `are fetched, and the next as soon as there are any`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list() + server.list(by: server.authority.root), tag: #""1-1""#)
        let subject = Subject(server, state)
        subject.fetcher.publish(trust: try server.trust())
        try await subject.waits { $0.numbers == ["1", "1"] }
        let began = ContinuousClock.now
        for number in 2...5 {
            try server.serve(
                try server.list {
                    $0.number = number
                    $0.serials = ["0A"]
                }, tag: "\"\(number)\"")
            try await subject.waits { $0.numbers == ["\(number)", "1"] }
        }
        #expect(ContinuousClock.now - began < .seconds(160), "a question every minute would take longer")
        await subject.stop()
        #expect(server.requests.first == "/v1/clusters/alpha/crl - wait=50")
        #expect(server.requests.dropFirst().first == #"/v1/clusters/alpha/crl "1-1" wait=50"#)
        let adopted = subject.events.filter { $0.name == .revocationListAdopted }
        #expect(adopted.count == 5 && adopted.allSatisfy { $0.outcome == .success })
        let document = subject.health.snapshot.sections["revocation"]?.text ?? ""
        #expect(document.contains(#""number":"5""#) && document.contains(#""revoked":1"#), "\(document)")
        #expect(subject.metrics.openMetricsText.contains(#"nodeguard_crl_fetches_total{result="new"} 5"#))
    }

    @Test func `count on over a restart without a plane, and are asked for by name after it`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list { $0.number = 7 }, tag: #""7""#)
        let first = Subject(server, state)
        first.fetcher.publish(trust: try server.trust())
        try await first.waits { $0.numbers == ["7"] }
        await first.stop()
        server.stop()
        let second = Subject(server, state)
        second.fetcher.publish(trust: try server.trust())
        try await second.waits { $0.numbers == ["7"] }
        try await second.waits { $0.codes.contains("CRL_NOT_FETCHED") }
        await second.stop()
        #expect(try Files.mode(RevocationStore(stateDirectory: state.path).path) == 0o600)
        let stored = try #require(try RevocationStore(stateDirectory: state.path).load())
        #expect(stored.tag == #""7""#)
    }

    @Test func `that the plane leaves out stay in force, over a restart too`() async throws {
        let server = try await ListServer()
        let revoking = try server.list(by: server.authority.root) {
            $0.number = 3
            $0.serials = ["0B"]
        }
        try server.serve(try server.list { $0.number = 7 } + revoking, tag: #""7""#)
        let first = Subject(server, state)
        first.fetcher.publish(trust: try server.trust())
        try await first.waits { $0.numbers == ["7", "3"] }
        try server.serve(try server.list { $0.number = 8 }, tag: #""8""#)
        try await first.waits { $0.numbers == ["8", "3"] }
        #expect(first.lists.last?.last?.count == 1 && !first.codes.contains("CRL_REFUSED"))
        await first.stop()
        let second = Subject(server, state)
        second.fetcher.publish(trust: try server.trust())
        try await second.waits { $0.numbers == ["8", "3"] }
        try server.serve(try server.list { $0.number = 9 } + server.list(by: server.authority.root), tag: #""9""#)
        try await second.waits { $0.detail("CRL_REFUSED").contains("is older than number 3") }
        await second.stop()
        let stored = try #require(try RevocationStore(stateDirectory: state.path).load())
        #expect(stored.tag == #""8""#)
        #expect(try RevocationList.encodings(in: stored.bytes).last == revoking)
    }

    @Test func `of one authority may come twice, and the newer counts from then on`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list { $0.number = 7 } + server.list { $0.number = 9 }, tag: #""9""#)
        let subject = Subject(server, state)
        subject.fetcher.publish(trust: try server.trust())
        try await subject.waits { $0.numbers == ["7", "9"] }
        try server.serve(try server.list { $0.number = 8 }, tag: #""8""#)
        try await subject.waits { $0.detail("CRL_REFUSED").contains("is older than number 9") }
        await subject.stop()
    }

    /// What a plane that was broken into, or set back, could give.
    private func bad(_ server: ListServer) throws -> [(String, [UInt8], Int)] {
        let foreign = try TestRevocationList.der(ofPEM: try TestAuthority().revocationList { $0.number = 99 })
        let stranger = try TestRevocationList.der(ofPEM: try TestAuthority(name: "Stranger").revocationList())
        var forged = try server.list { $0.number = 8 }
        forged[forged.count - 1] ^= 1
        return [
            ("is older than number 7", try server.list { $0.number = 6 }, 200),
            ("is not that of", forged, 200),
            ("none of them is signed by an authority of the cluster", foreign, 200),
            ("none of them is signed by an authority of the cluster", stranger, 200),
            (
                "is not valid before",
                try server.list {
                    $0.number = 8
                    $0.validity = 3600...7200
                }, 200
            ),
            ("delta", try server.list { $0.extensions = ["deltaCRL": "critical,DER:020101"] }, 200),
            ("read a CRL", Array(try server.list { $0.number = 8 }.dropLast()), 200),
            ("read PEM CRLs", Array("<html>hello</html>".utf8), 200),
        ]
    }

    @Test func `stay what they are, whatever comes in their place`() async throws {
        let server = try await ListServer()
        let (good, store) = (try server.list { $0.number = 7 }, RevocationStore(stateDirectory: state.path))
        for (index, (words, bytes, status)) in try bad(server).enumerated() {
            try server.serve(good, tag: #""7""#)
            let subject = Subject(server, state)
            subject.fetcher.publish(trust: try server.trust())
            try await subject.waits { $0.numbers == ["7"] }
            try server.serve(bytes, tag: "\"bad-\(index)\"", status: status)
            try await subject.waits { $0.codes.contains("CRL_REFUSED") }
            #expect(subject.detail("CRL_REFUSED").contains(words), "\(subject.detail("CRL_REFUSED"))")
            #expect(subject.numbers == ["7"] && subject.events.last?.outcome == .failure)
            #expect(try store.load()?.bytes == good)
            try server.serve(good, tag: #""7b""#)
            try await subject.waits { !$0.codes.contains("CRL_REFUSED") }
            await subject.stop()
        }
    }

    @Test func `that are damaged on the disk are put aside, and fetched`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list { $0.number = 7 }, tag: #""7""#)
        try Files.makeDirectory(state.file("revocation"), mode: 0o700)
        try state.write("damaged", to: "revocation/cluster.crl")
        let subject = Subject(server, state)
        subject.fetcher.publish(trust: try server.trust())
        try await subject.waits { $0.numbers == ["7"] && $0.codes.contains("CRL_QUARANTINED") }
        await subject.stop()
        #expect(try Files.list(state.file("quarantine")) == ["revocation-cluster.crl"])
        #expect(subject.events.contains { $0.name == .stateQuarantined })
        #expect(server.requests.first?.contains(" - ") == true, "the name of what was damaged says nothing")
    }

    @Test func `of an authority that is not known yet count when it is`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list() + server.list(by: server.authority.root), tag: #""1""#)
        let subject = Subject(server, state)
        subject.fetcher.publish(trust: try TrustAnchors([server.authority.root.certificate()]))
        try await subject.waits { $0.lists.last?.count == 1 }
        subject.fetcher.publish(trust: try server.trust())
        try await subject.waits { $0.lists.last?.count == 2 }
        await subject.stop()
    }

    @Test func `that cannot be written are in force, and written later`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list(), tag: #""1""#)
        try state.write("in the way", to: "revocation")
        let subject = Subject(server, state)
        subject.fetcher.publish(trust: try server.trust())
        try await subject.waits { $0.numbers == ["1"] && $0.codes.contains("CRL_NOT_STORED") }
        try Files.remove(state.file("revocation"))
        try server.serve(try server.list { $0.number = 2 }, tag: #""2""#)
        try await subject.waits { $0.numbers == ["2"] && !$0.codes.contains("CRL_NOT_STORED") }
        await subject.stop()
        #expect(try RevocationStore(stateDirectory: state.path).load()?.tag == #""2""#)
    }
}
