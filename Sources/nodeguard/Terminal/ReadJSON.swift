import FoundationEssentials
import Reports

/// Reads JSON that the daemon wrote.
struct ReadJSON: Decodable {
    let value: JSONValue

    static func parse(_ bytes: [UInt8]) -> JSONValue? {
        try? JSONDecoder().decode(ReadJSON.self, from: Data(bytes)).value
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        if let members = try? decoder.container(keyedBy: Key.self) {
            var object: [String: JSONValue] = [:]
            for key in members.allKeys {
                object[key.stringValue] = try members.decode(ReadJSON.self, forKey: key).value
            }
            value = .object(object)
        } else if var elements = try? decoder.unkeyedContainer() {
            var array: [JSONValue] = []
            while !elements.isAtEnd { array.append(try elements.decode(ReadJSON.self).value) }
            value = .array(array)
        } else {
            let single = try decoder.singleValueContainer()
            value =
                if single.decodeNil() {
                    .null
                } else if let flag = try? single.decode(Bool.self) {
                    .boolean(flag)
                } else if let number = try? single.decode(Int64.self) {
                    .integer(number)
                } else if let number = try? single.decode(Double.self) {
                    .number(number)
                } else {
                    .string(try single.decode(String.self))
                }
        }
    }
}

/// What a document has at a key, if it has it and it is of that type.
extension JSONValue {
    subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self, let member = members[key], member != .null else { return nil }
        return member
    }

    var string: String? { if case .string(let text) = self { text } else { nil } }
    var items: [JSONValue] { if case .array(let items) = self { items } else { [] } }
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
    /// The sum of an object's numbers, or the number itself.
    var total: Double? {
        guard case .object(let members) = self else { return number }
        return members.values.compactMap(\.number).reduce(0, +)
    }
    /// As a person reads it: text without quotes, lists with commas, numbers without needless digits.
    var shown: String {
        switch self {
        case .string(let text): text.printable
        case .array(let items): items.map(\.shown).joined(separator: ", ")
        case .null: "-"
        default: text.printable
        }
    }
}
