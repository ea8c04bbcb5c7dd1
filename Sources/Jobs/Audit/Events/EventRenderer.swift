import OpenSSL
import Reports

/// Writes the events of one log in canonical form, straight to where they are hashed and stored. What all of them share
/// is rendered once.
struct EventRenderer: Sendable {
    /// Canonical texts are not longer; what does not fit is replaced by its length and digest.
    static let sizeLimit = 64 << 10
    private static let fieldLimit = 4 << 10
    private static let excerptLimit = 256

    /// In the order of their keys: what stands before the fields, and between name and outcome.
    private let start: [UInt8]
    private let middle: [UInt8]

    init(_ place: AuditPlace, boot: String) {
        var start = Array("{\"boot\":".utf8)
        JSONValue.write(boot, to: &start)
        start += ",\"cluster\":".utf8
        JSONValue.write(place.cluster, to: &start)
        start += ",\"epoch\":".utf8
        JSONValue.count(place.epoch).write(to: &start)
        start += ",\"fields\":".utf8
        var middle = Array(",\"node\":".utf8)
        JSONValue.write(place.node, to: &middle)
        middle += ",\"outcome\":".utf8
        (self.start, self.middle) = (start, middle)
    }

    /// Appends the event with the number that `writeNumber` writes.
    func append(_ event: AuditEvent, to out: inout [UInt8], number writeNumber: (inout [UInt8]) -> Void) {
        let before = out.count
        let numberSize = append(event, event.fields, to: &out, writeNumber)
        // The limit is one of the event alone, whichever number it gets.
        guard out.count - before - numberSize + 1 > Self.sizeLimit else { return }
        out.removeSubrange(before...)
        _ = append(event, ["truncated": Self.excerpt(event.fields.object)], to: &out, writeNumber)
    }

    /// `seq` and `time` are the last keys in canonical order. Returns how long the number is.
    private func append(
        _ event: AuditEvent, _ fields: AuditFields, to out: inout [UInt8],
        _ writeNumber: (inout [UInt8]) -> Void
    ) -> Int {
        out += start
        JSONValue.write(fields, to: &out, Self.writeBounded)
        out += ",\"name\":\"".utf8
        out += event.name.rawValue.utf8
        out.append(UInt8(ascii: "\""))
        out += middle
        out.append(UInt8(ascii: "\""))
        out += event.outcome.rawValue.utf8
        out += "\",\"seq\":".utf8
        let before = out.count
        writeNumber(&out)
        let size = out.count - before
        out += ",\"time\":\"".utf8
        event.time.write(to: &out, fractionDigits: 6)
        out += "\"}".utf8
        return size
    }

    private static func writeBounded(_ value: JSONValue, to out: inout [UInt8]) {
        switch value {
        case .null, .boolean, .integer: value.write(to: &out)
        // An escape takes six characters at most, so that these need not be rendered to be measured.
        case .string(let text) where text.utf8.count * 6 + 2 <= fieldLimit: JSONValue.write(text, to: &out)
        case .string, .number, .array, .object:
            (value.text.utf8.count <= fieldLimit ? exact(value) : excerpt(value)).write(to: &out)
        }
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
