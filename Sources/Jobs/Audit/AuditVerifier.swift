import FoundationEssentials
import IO
import OpenSSL
import PlaneAPI
import Reports

/// Checks an exported log without the plane and without this node: events, one a line, an empty line, a signed
/// checkpoint. Rebuilds the hash tree from the events alone.
package struct AuditVerifier {
    /// What is believed of a log, or why not.
    package enum Verdict: Sendable, Equatable {
        /// `isSigned`, `isCosigned`: nil if no such key was given.
        case intact(events: UInt64, origin: String, isSigned: Bool?, isCosigned: Bool?)
        case broken(reason: String)
    }

    package static let lineLimit = 1 << 20
    private static let bufferSize = 64 << 10

    private let keys: VerifierKeys
    private var tree = MerkleTree()
    private let digest = Digest.SHA256()
    private var origin: String?
    private var note: [UInt8]?
    private var line: [UInt8] = []

    /// `keys`: with which the signatures are checked.
    package init(keys: VerifierKeys = VerifierKeys()) { self.keys = keys }

    package static func verify(file path: String, keys: VerifierKeys = VerifierKeys()) throws(IOError) -> Verdict {
        var verifier = AuditVerifier(keys: keys)
        let file = try Files.openForReading(path)
        let buffer = LaneBuffer(capacity: bufferSize)
        while try file.read(into: buffer) > 0 {
            if let reason = verifier.read(buffer.bytes()) { return .broken(reason: reason) }
            buffer.removeAll()
        }
        return verifier.finish()
    }

    package static func verify(_ bytes: [UInt8], keys: VerifierKeys = VerifierKeys()) -> Verdict {
        var verifier = AuditVerifier(keys: keys)
        if let reason = verifier.read(bytes) { return .broken(reason: reason) }
        return verifier.finish()
    }

    /// The next bytes, cut anywhere; returns what is wrong.
    private mutating func read(_ bytes: [UInt8]) -> String? {
        for byte in bytes {
            if note != nil {
                note?.append(byte)
                if let note, note.count > SignedNote.sizeLimit { return "the checkpoint is too long" }
            } else if byte != 0x0A {
                line.append(byte)
                if line.count > Self.lineLimit { return "event \(tree.size + 1) is too long" }
            } else if line.isEmpty {
                note = []
            } else {
                if let reason = checkEvent() { return reason }
                line.removeAll(keepingCapacity: true)
            }
        }
        return nil
    }

    private mutating func checkEvent() -> String? {
        let seq = tree.size + 1
        guard let value = try? JSONDecoder().decode(DecodedJSON.self, from: Data(line)).value,
            case .object(let members) = value
        else { return "event \(seq) was changed: it is no JSON object" }
        guard Array(value.text.utf8) == line else {
            return "event \(seq) was changed: it is not in canonical form"
        }
        guard members["seq"] == .count(seq) else { return Self.misplaced(members["seq"], seq) }
        guard let place = Self.origin(of: members) else { return "event \(seq) does not say whose it is" }
        guard origin == nil || origin == place else { return "event \(seq) is of \(place), not of \(origin ?? "")" }
        origin = place
        tree.append(line[...], with: digest)
        return nil
    }

    /// Of a node's log, or of a plane's own.
    private static func origin(of event: [String: JSONValue]) -> String? {
        if case .string(let plane)? = event["plane"], event["node"] == nil { return AuditBatches.planeOrigin(plane) }
        guard case .string(let node)? = event["node"], case .integer(let epoch)? = event["epoch"], epoch >= 0 else {
            return nil
        }
        return AuditBatches.origin(node: node, epoch: UInt64(epoch))
    }

    private static func misplaced(_ found: JSONValue?, _ seq: UInt64) -> String {
        guard case .integer(let number)? = found else { return "event \(seq) was changed: it has no number" }
        return number > Int64(clamping: seq)
            ? "event \(seq) is missing, or moved: event \(number) stands in its place"
            : "event \(number) stands once more in the place of event \(seq)"
    }

    private func finish() -> Verdict {
        guard line.isEmpty, let note else {
            return .broken(reason: "the export ends after event \(tree.size), without a checkpoint: it was cut")
        }
        let signed: SignedNote
        let checkpoint: Checkpoint
        do {
            signed = try SignedNote(parsing: note)
            checkpoint = try Checkpoint(parsing: signed.text)
        } catch {
            return .broken(reason: error.description)
        }
        if let reason = flaw(of: checkpoint) ?? flaw(of: signed) { return .broken(reason: reason) }
        return .intact(
            events: tree.size, origin: checkpoint.origin, isSigned: keys.isSigned(signed, as: checkpoint.origin),
            isCosigned: keys.isCosigned(signed))
    }

    private func flaw(of checkpoint: Checkpoint) -> String? {
        guard let origin, checkpoint.origin == origin else {
            return "the checkpoint is of \(checkpoint.origin), the events are not"
        }
        guard checkpoint.size == tree.size else {
            return "the checkpoint covers \(checkpoint.size) events, the export has \(tree.size)"
        }
        guard checkpoint.root == tree.root else {
            return """
                one of the events 1 to \(tree.size) was changed, or the checkpoint: the tree's root is not the \
                checkpoint's
                """
        }
        return nil
    }

    private func flaw(of note: SignedNote) -> String? {
        let origin = origin ?? ""
        if keys.isSigned(note, as: origin) == false {
            return keys.knows(origin)
                ? "the checkpoint is not signed by the given key"
                : "the checkpoint is signed for \(origin), and none of the given keys is that log's"
        }
        return keys.isCosigned(note) == false ? "the checkpoint is not cosigned by the given witness" : nil
    }
}

/// Any JSON, as a value; integers stay integers.
private struct DecodedJSON: Decodable {
    let value: JSONValue

    init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: AnyKey.self) {
            var members: [String: JSONValue] = [:]
            for key in container.allKeys {
                members[key.stringValue] = try container.decode(DecodedJSON.self, forKey: key).value
            }
            value = .object(members)
        } else if var container = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !container.isAtEnd { values.append(try container.decode(DecodedJSON.self).value) }
            value = .array(values)
        } else {
            value = try Self.scalar(try decoder.singleValueContainer())
        }
    }

    private static func scalar(_ container: any SingleValueDecodingContainer) throws -> JSONValue {
        if container.decodeNil() { return .null }
        if let value = try? container.decode(Bool.self) { return .boolean(value) }
        if let value = try? container.decode(Int64.self) { return .integer(value) }
        if let value = try? container.decode(Double.self) { return .number(value) }
        return .string(try container.decode(String.self))
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
