import OpenSSL
import Reports

/// Whose log it is, and which one.
struct AuditPlace: Sendable, Equatable {
    let node: String
    let cluster: String
    let epoch: UInt64
}

/// An event in its canonical form, all but its number: the number is given when the event is stored, and a run of
/// dropped events shares one record.
struct AuditRecord: Sendable, Equatable {
    /// Canonical texts are not longer; what does not fit is replaced by its length and digest.
    static let sizeLimit = 64 << 10
    private static let fieldLimit = 4 << 10
    private static let excerptLimit = 256
    /// Stands where the number goes. Canonical JSON never contains it: control characters are escaped.
    private static let gapMark: UInt8 = 0

    let auditClass: AuditClass
    let time: Timestamp
    /// The canonical text with `gapMark` in the place of the number.
    let template: [UInt8]

    init(_ event: AuditEvent, place: AuditPlace, boot: String) {
        auditClass = event.name.auditClass
        time = event.time
        var template = Self.template(event, event.fields.mapValues(Self.bounded), place, boot)
        if template.count > Self.sizeLimit {
            template = Self.template(event, ["truncated": Self.excerpt(.object(event.fields))], place, boot)
        }
        self.template = template
    }

    /// The event's canonical JSON, which is the leaf's data.
    static func line(_ template: [UInt8], seq: Int64) -> [UInt8] {
        guard let mark = template.firstIndex(of: gapMark) else { return template }
        return template[..<mark] + Array(String(seq).utf8) + template[(mark + 1)...]
    }

    func line(seq: Int64) -> [UInt8] { Self.line(template, seq: seq) }

    /// `seq` and `time` are the last keys in canonical order.
    private static func template(
        _ event: AuditEvent, _ fields: [String: JSONValue], _ place: AuditPlace, _ boot: String
    ) -> [UInt8] {
        let before = JSONValue.object([
            "boot": .string(boot), "cluster": .string(place.cluster), "epoch": .count(place.epoch),
            "fields": .object(fields), "name": .string(event.name.rawValue), "node": .string(place.node),
            "outcome": .string(event.outcome.rawValue),
        ]).text
        let start = Array((before.dropLast() + ",\"seq\":").utf8)
        let end = ",\"time\":\"\(event.time.precise)\"}"
        return start + [gapMark] + Array(end.utf8)
    }

    private static func bounded(_ value: JSONValue) -> JSONValue {
        // An escape takes six characters at most, so that these need not be rendered to be measured.
        if case .string(let text) = value, text.utf8.count * 6 + 2 <= fieldLimit { return value }
        return value.text.utf8.count <= fieldLimit ? exact(value) : excerpt(value)
    }

    /// A whole number has one form: readers do not agree whether `1.0` is an integer.
    private static func exact(_ value: JSONValue) -> JSONValue {
        switch value {
        case .number(let number): Int64(exactly: number).map { .integer($0) } ?? value
        case .array(let values): .array(values.map(exact))
        case .object(let members): .object(members.mapValues(exact))
        case .null, .boolean, .integer, .string: value
        }
    }

    private static func excerpt(_ value: JSONValue) -> JSONValue {
        let text = if case .string(let string) = value { string } else { value.text }
        let digest = Digest.sha256(Array(text.utf8))
        return [
            "bytes": .count(text.utf8.count), "sha256": .string(hexadecimal(digest)),
            "start": .string(String(text.unicodeScalars.prefix(excerptLimit).map(Character.init))),
        ]
    }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
