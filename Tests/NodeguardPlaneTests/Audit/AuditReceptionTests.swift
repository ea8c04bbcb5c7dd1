import Crypto
import Foundation
import PlaneAPI
import Testing

@Suite struct `Audit reception` {
    let plane: RunningPlane
    let node: TestNode

    init() throws {
        plane = try RunningPlane()
        node = try TestNode.enrolled(plane, "db-1")
    }

    @Test func `acknowledges good batches in order, cosigned so that a witness's key verifies it`() throws {
        var log = AuditLogFixture()
        log.append(7)
        #expect(try log.register(plane, as: node).status == 204)
        #expect(try log.register(plane, as: node).status == 204)
        let first = try log.send(1...3, to: plane, as: node)
        #expect(first.status == 200, "\(first.text)")
        let acknowledgement = try first.decode(AuditAcknowledgement.self)
        #expect(acknowledgement.acknowledged == 3)
        try verifyCosignature(#require(acknowledgement.cosignature), over: log.checkpoint(3))
        #expect(try log.send(4...7, to: plane, as: node).decode(AuditAcknowledgement.self).acknowledged == 7)
        #expect(try plane.verb("audit", "verify").hasPrefix("intact: 7 events in 1 log"))
        let list = try plane.verb("audit", "list", "--json")
        #expect(list.contains(#""root":"\#(AuditLogFixture.root(log.events).base64EncodedString())""#))
        #expect(try plane.verb("nodes").contains(" 7 "))
    }

    /// C2SP tlog-cosignature v1, from what the plane publishes of its key.
    private func verifyCosignature(_ line: String, over note: String) throws {
        let vkey = try plane.call("GET", "/v1/audit/witness").text.trimmingCharacters(in: .newlines)
        let parts = vkey.split(separator: "+", maxSplits: 2).map(String.init)
        let encoded = try #require(Data(base64Encoded: parts[2]))
        #expect(encoded.first == 0x04)
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: encoded.dropFirst())
        let words = line.split(separator: " ")
        #expect(words[0] == "\u{2014}" && String(words[1]) == parts[0] && line.hasSuffix("\n"))
        let raw = try #require(Data(base64Encoded: String(words[2].dropLast())))
        let hash = SHA256.hash(data: Data(parts[0].utf8) + [0x0A, 0x04] + encoded.dropFirst())
        #expect(raw.prefix(4) == Data(hash.prefix(4)))
        let time = raw.dropFirst(4).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        #expect(abs(Double(time) - Date().timeIntervalSince1970) < 60)
        let text = note.components(separatedBy: "\n\n")[0] + "\n"
        let message = Data("cosignature/v1\ntime \(time)\n\(text)".utf8)
        #expect(key.isValidSignature(raw.dropFirst(12), for: message))
    }

    @Test func `is idempotent, and tells what it expects next`() throws {
        var log = AuditLogFixture()
        log.append(9)
        _ = try log.register(plane, as: node)
        let first = try log.send(1...4, to: plane, as: node)
        let again = try log.send(1...4, to: plane, as: node)
        #expect(first.status == 200 && again.status == 200 && first.body == again.body)
        let gap = try log.send(6...9, to: plane, as: node)
        #expect(gap.status == 409)
        #expect(try gap.decode(AuditConflict.self) == AuditConflict(next: 5))
        let overlap = try log.send(3...6, to: plane, as: node)
        #expect(overlap.status == 409)
        #expect(try overlap.decode(AuditConflict.self) == AuditConflict(next: 5))
        #expect(try log.send(2...3, to: plane, as: node).status == 200)
        #expect(try log.send(5...9, to: plane, as: node).status == 200)
        #expect(try plane.verb("audit", "verify").hasPrefix("intact: 9 events"))
    }

    @Test func `stores nothing of a batch that does not hold`() throws {
        var log = AuditLogFixture()
        log.append(6)
        _ = try log.register(plane, as: node)
        #expect(try log.send(1...2, to: plane, as: node).status == 200)
        let bad = log.event(4, name: "connection.refused")
        let faults: [(String, AuditLogFixture.Fault)] = [
            ("checkpoint-root", .init(root: Data(repeating: 7, count: 32))),
            ("checkpoint-root", .init(replacing: [4: bad], rehash: false)),
            ("checkpoint-origin", .init(origin: "nodeguard/db-2/\(log.epoch)")),
            ("checkpoint-size", .init(size: 5)),
            ("checkpoint-signature", .init(key: Curve25519.Signing.PrivateKey())),
            ("sequence", .init(replacing: [4: log.event(5)])),
            ("sequence", .init(replacing: [4: #"{"epoch":1,"node":"db-1"}"#])),
            ("node", .init(replacing: [4: bad.replacing(#""node":"db-1""#, with: #""node":"db-2""#)])),
            ("cluster", .init(replacing: [4: bad.replacing(#""cluster":"alpha""#, with: #""cluster":"beta""#)])),
            ("epoch", .init(replacing: [4: bad.replacing("\(log.epoch)", with: "1")])),
            ("not-canonical", .init(replacing: [4: bad.replacing(",", with: ", ")])),
            ("not-canonical", .init(replacing: [4: "{}x"])),
        ]
        for (reason, fault) in faults {
            let answer = try log.send(3...6, fault, to: plane, as: node)
            #expect(answer.status == 422 && answer.reason == reason, "\(reason): \(answer.status) \(answer.text)")
        }
        let rewritten = try log.send(1...2, .init(replacing: [2: log.event(2, name: "x.y")]), to: plane, as: node)
        #expect(rewritten.status == 422 && rewritten.reason == "differs-from-stored")
        #expect(try plane.verb("audit", "verify").hasPrefix("intact: 2 events"))
        #expect(try log.send(3...6, to: plane, as: node).status == 200)
        #expect(try plane.verb("audit", "verify").hasPrefix("intact: 6 events"))
    }

    @Test func `wants the key first, one for each epoch, and a body of at most one MiB`() throws {
        var log = AuditLogFixture()
        log.append(1)
        #expect(try log.send(1...1, to: plane, as: node).reason == "key-not-registered")
        _ = try log.register(plane, as: node)
        let other = AuditLogFixture()
        #expect(try other.register(plane, as: node).reason == "key-differs")
        let path = AuditBatches.path(epoch: log.epoch, first: 1, last: 1)
        let huge = Data(repeating: 0x61, count: AuditBatches.sizeLimit + 1)
        #expect(try plane.call("PUT", path, body: huge, as: node).status == 413)
        let chunked = try plane.call("PUT", path, body: huge, as: node, ["-H", "Transfer-Encoding: chunked"])
        #expect(chunked.status == 413)
        #expect(try plane.call("PUT", path, body: Data("x".utf8), as: node).status == 422)
        let nobody = try plane.call("PUT", path, body: log.batch(1...1))
        #expect(nobody.status == 401 && nobody.reason == "identity-required")
        for place in ["1/0-5", "1/5-1", "1/x", "1/1-99999999999999999999", "x/1-1", "99999999999999999999/1-1"] {
            let answer = try plane.call("PUT", "/v1/nodes/self/audit/\(place)", body: log.batch(1...1), as: node)
            #expect(answer.status == 422, "\(place): \(answer.status) \(answer.text)")
        }
    }

    @Test func `keeps the logs of two nodes and two epochs apart`() throws {
        let second = try TestNode.enrolled(plane, cluster: "beta", "db-1")
        var logs = [
            AuditLogFixture(), AuditLogFixture(epoch: 42), AuditLogFixture(cluster: "beta", epoch: 42),
        ]
        for (index, identity) in [node, node, second].enumerated() {
            logs[index].append(index + 1)
            _ = try logs[index].register(plane, as: identity)
            #expect(try logs[index].send(1...(index + 1), to: plane, as: identity).status == 200)
        }
        let stolen = try logs[2].send(1...3, to: plane, as: node)
        #expect(stolen.status == 422)
        #expect(try plane.verb("audit", "verify").hasPrefix("intact: 6 events in 3 logs"))
        #expect(try plane.verb("audit", "verify", "--cluster", "beta").hasPrefix("intact: 3 events in 1 log"))
    }
}
