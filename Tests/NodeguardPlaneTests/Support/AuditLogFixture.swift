import Crypto
import Foundation
import PlaneAPI

/// A node's audit log as an agent would keep it, written a second time and simply: the tree is recomputed from all
/// leaves by RFC 6962's own recursive definition.
struct AuditLogFixture {
    let node: String
    let cluster: String
    let epoch: UInt64
    let key = Curve25519.Signing.PrivateKey()
    private(set) var events: [String] = []

    init(node: String = "db-1", cluster: String = "alpha", epoch: UInt64 = 1_764_000_000_000) {
        self.node = node
        self.cluster = cluster
        self.epoch = epoch
    }

    var origin: String { "nodeguard/\(node)/\(epoch)" }

    mutating func append(_ count: Int) {
        for _ in 0..<count { events.append(event(UInt64(events.count) + 1)) }
    }

    func event(_ seq: UInt64, name: String = "connection.accepted") -> String {
        let fields = #"{"listener":"ysql","peer.uri":"spiffe://\#(cluster)/app/shop"}"#
        return #"{"boot":"b1","cluster":"\#(cluster)","epoch":\#(epoch),"fields":\#(fields),"name":"\#(name)","#
            + #""node":"\#(node)","outcome":"success","seq":\#(seq),"time":"2026-11-24T10:56:00.123456Z"}"#
    }

    static func root(_ leaves: some RandomAccessCollection<String>) -> Data {
        switch leaves.count {
        case 0: return Data(SHA256.hash(data: Data()))
        case 1: return Data(SHA256.hash(data: Data([0]) + Data((leaves.first ?? "").utf8)))
        default:
            var split = 1
            while split * 2 < leaves.count { split *= 2 }
            return Data(
                SHA256.hash(data: Data([1]) + root(Array(leaves.prefix(split))) + root(Array(leaves.dropFirst(split)))))
        }
    }

    /// What may be wrong with a batch.
    struct Fault {
        var root: Data?
        var origin: String?
        var size: Int?
        var key: Curve25519.Signing.PrivateKey?
        var replacing: [Int: String] = [:]
        /// Whether the checkpoint is signed over what the body holds.
        var rehash = true
    }

    func checkpoint(_ size: Int, leaves: [String]? = nil, _ fault: Fault = Fault()) throws -> String {
        let root = fault.root ?? Self.root((leaves ?? events).prefix(size))
        let name = fault.origin ?? origin
        let text = "\(name)\n\(fault.size ?? size)\n\(root.base64EncodedString())\n"
        let signer = fault.key ?? key
        let hash = SHA256.hash(data: Data(name.utf8) + [0x0A, 0x01] + signer.publicKey.rawRepresentation)
        let signature = try Data(hash.prefix(4)) + signer.signature(for: Data(text.utf8))
        return text + "\n\u{2014} \(name) \(signature.base64EncodedString())\n"
    }

    func batch(_ range: ClosedRange<Int>, _ fault: Fault = Fault()) throws -> Data {
        var changed = events
        for (seq, text) in fault.replacing { changed[seq - 1] = text }
        let lines = changed[(range.lowerBound - 1)..<range.upperBound].map { $0 + "\n" }.joined()
        let note = try checkpoint(range.upperBound, leaves: fault.rehash ? changed : events, fault)
        return Data((lines + "\n" + note).utf8)
    }

    func register(_ plane: RunningPlane, as identity: TestNode) throws -> RunningPlane.Answer {
        try plane.call(
            "PUT", AuditBatches.keyPath(epoch: epoch),
            body: JSONEncoder.plane.encode(AuditKey(publicKey: key.publicKey.rawRepresentation)), as: identity)
    }

    func send(
        _ range: ClosedRange<Int>, _ fault: Fault = Fault(), to plane: RunningPlane, as identity: TestNode
    ) throws -> RunningPlane.Answer {
        try plane.call(
            "PUT", AuditBatches.path(epoch: epoch, first: UInt64(range.lowerBound), last: UInt64(range.upperBound)),
            body: batch(range, fault), type: AuditBatches.contentType, as: identity)
    }
}
