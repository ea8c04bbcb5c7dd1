import Foundation
import IO
import OpenSSL
import PlaneClient
import Reports
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `The CRLs of the cluster` {
    private let state: TemporaryDirectory

    init() throws { state = try temporaryDirectory() }

    @Test func `are fetched, and the next as soon as there are any`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list() + server.list(by: server.authority.root), tag: #""1-1""#)
        let subject = FetchingNode(server.plane, state)
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
        let first = FetchingNode(server.plane, state)
        first.fetcher.publish(trust: try server.trust())
        try await first.waits { $0.numbers == ["7"] }
        await first.stop()
        server.stop()
        let second = FetchingNode(server.plane, state)
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
        let first = FetchingNode(server.plane, state)
        first.fetcher.publish(trust: try server.trust())
        try await first.waits { $0.numbers == ["7", "3"] }
        try server.serve(try server.list { $0.number = 8 }, tag: #""8""#)
        try await first.waits { $0.numbers == ["8", "3"] }
        #expect(first.lists.last?.last?.count == 1 && !first.codes.contains("CRL_REFUSED"))
        await first.stop()
        let second = FetchingNode(server.plane, state)
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
        let subject = FetchingNode(server.plane, state)
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
            let subject = FetchingNode(server.plane, state)
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
        let subject = FetchingNode(server.plane, state)
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
        let subject = FetchingNode(server.plane, state)
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
        let subject = FetchingNode(server.plane, state)
        subject.fetcher.publish(trust: try server.trust())
        try await subject.waits { $0.numbers == ["1"] && $0.codes.contains("CRL_NOT_STORED") }
        try Files.remove(state.file("revocation"))
        try server.serve(try server.list { $0.number = 2 }, tag: #""2""#)
        try await subject.waits { $0.numbers == ["2"] && !$0.codes.contains("CRL_NOT_STORED") }
        await subject.stop()
        #expect(try RevocationStore(stateDirectory: state.path).load()?.tag == #""2""#)
    }

    @Test func `that are damaged on the disk give way to none that is older`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list { $0.number = 7 } + server.list(by: server.authority.root), tag: #""7""#)
        let first = FetchingNode(server.plane, state)
        first.fetcher.publish(trust: try server.trust())
        try await first.waits { $0.numbers == ["7", "1"] }
        await first.stop()
        try state.write("damaged", to: "revocation/cluster.crl")
        try server.serve(try server.list { $0.number = 6 }, tag: #""6""#)
        let second = FetchingNode(server.plane, state)
        second.fetcher.publish(trust: try server.trust())
        try await second.waits { $0.codes.isSuperset(of: ["CRL_QUARANTINED", "CRL_REFUSED"]) }
        #expect(second.detail("CRL_REFUSED").contains("which was in use") && second.lists.isEmpty)
        try server.serve(try server.list { $0.number = 8 }, tag: #""8""#)
        try await second.waits { $0.numbers == ["8"] && !$0.codes.contains("CRL_REFUSED") }
        await second.stop()
        let store = RevocationStore(stateDirectory: state.path)
        #expect(store.newest.count == 2, "that of the root is still known: \(store.newest)")
    }

    @Test func `that cannot be read are not replaced by what may be older`() async throws {
        let server = try await ListServer()
        try server.serve(try server.list { $0.number = 7 }, tag: #""7""#)
        try Files.makeDirectory(state.file("revocation/cluster.crl"), mode: 0o700)
        let node = FetchingNode(server.plane, state)
        node.fetcher.publish(trust: try server.trust())
        try await node.waits { $0.codes.contains("CRL_NOT_READABLE") }
        node.fetcher.identityChanged()
        let reads = await eventually(within: 0.5) { !node.lists.isEmpty || !server.requests.isEmpty }
        #expect(!reads, "who was in force is not known, and nobody is asked")
        #expect(rmdir(state.file("revocation/cluster.crl")) == 0)
        try await node.waits { $0.numbers == ["7"] && $0.codes.isEmpty }
        await node.stop()
    }

    @Test func `that cannot be read are replaced where it is known how new they were`() async throws {
        let server = try await ListServer()
        let store = RevocationStore(stateDirectory: state.path)
        let list = try server.list { $0.number = 7 }
        let marks = try RevocationList.parse(list, issuers: try server.trust().certificates).map(\.mark)
        try store.save(list, tag: #""7""#, newest: marks)
        try Files.remove(store.path)
        try Files.makeDirectory(store.path, mode: 0o700)
        try server.serve(try server.list { $0.number = 6 }, tag: #""6""#)
        let node = FetchingNode(server.plane, state)
        node.fetcher.publish(trust: try server.trust())
        try await node.waits { $0.codes.isSuperset(of: ["CRL_NOT_READABLE", "CRL_REFUSED"]) && $0.lists.isEmpty }
        try server.serve(try server.list { $0.number = 8 }, tag: #""8""#)
        try await node.waits { $0.numbers == ["8"] && $0.codes.contains("CRL_NOT_STORED") }
        await node.stop()
    }

    @Test func `stay in force, however the plane abuses HTTP`() async throws {
        let plane = try await LyingPlane()
        let trust = try TrustAnchors(
            [plane.authority.root.certificate(), plane.authority.intermediate.certificate()], pinsIntermediates: true)
        func list(_ number: Int) throws -> [UInt8] {
            try TestRevocationList.der(ofPEM: try plane.authority.revocationList { $0.number = number })
        }
        let (good, newer) = (LyingPlane.Answer("200 OK", [#"ETag: "7""#], try list(7)), try list(8))
        let client = PlaneClient(url: plane.url)
        await client.replaceCredentials(trust: trust, identity: nil)
        let node = FetchingNode(client, state)
        try plane.answer(good)
        node.fetcher.publish(trust: trust)
        try await node.waits { $0.numbers == ["7"] }
        for lie in LyingPlane.lies(about: newer, limit: RevocationList.sizeLimit) {
            try plane.answer(lie.answer)
            try await node.asks(plane) { $0.codes.contains("CRL_NOT_FETCHED") }
            let detail = node.detail("CRL_NOT_FETCHED")
            #expect(detail.contains(lie.words) && detail.utf8.allSatisfy { $0 >= 0x20 }, "\(lie.name): \(detail)")
            #expect(node.numbers == ["7"], "\(lie.name)")
            try plane.answer(good)
            try await node.asks(plane) { $0.codes.isEmpty }
        }
        await node.stop()
        await client.close()
        #expect(try RevocationStore(stateDirectory: state.path).load()?.bytes == good.body)
    }
}
