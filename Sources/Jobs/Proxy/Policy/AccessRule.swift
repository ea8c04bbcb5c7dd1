/// One rule of an access policy: all its keys must match, and any value of a key suffices.
///
/// Values are checked and compiled when the rule is made, so that a wrong one is a mistake in the configuration and
/// never a rule that quietly matches nobody.
package struct AccessRule: Sendable, Equatable, CustomStringConvertible {
    package enum Key: String, Sendable, CaseIterable {
        case commonName = "common-name"
        case organization
        case organizationalUnit = "organizational-unit"
        case dns, ip, uri, email, issuer, serial, spki
        case databaseUser = "database-user"
    }

    /// Why a rule cannot be used; the configuration adds the place.
    package struct Mistake: Error, Sendable, Equatable, CustomStringConvertible {
        package let key: Key?
        package let value: String?
        package let reason: String

        package var description: String {
            [key?.rawValue, value.map { "\"\($0)\"" }].compactMap { $0 }.joined(separator: " ")
                + (key == nil ? "" : ": ") + reason
        }
    }

    private enum Condition: Sendable, Equatable {
        /// Byte for byte: Swift's strings are equal when Unicode says so, and certificates are not.
        case text(Key, Set<[UInt8]>)
        case bytes(Key, Set<[UInt8]>)
        case uri([URIPattern])
    }

    package let description: String
    private let conditions: [Condition]
    let needsDatabaseUser: Bool

    package init(_ values: [Key: [String]]) throws(Mistake) {
        guard !values.isEmpty else { throw Mistake(key: nil, value: nil, reason: "a rule needs at least one key") }
        if values[.serial] != nil, values[.issuer] == nil {
            throw Mistake(
                key: .serial, value: nil, reason: "a serial number counts with its issuer: add the key \"issuer\"")
        }
        var conditions: [Condition] = []
        for (key, values) in values.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            guard !values.isEmpty else { throw Mistake(key: key, value: nil, reason: "needs at least one value") }
            conditions.append(try Self.condition(key, values))
        }
        self.conditions = conditions
        needsDatabaseUser = values[.databaseUser] != nil
        description = values.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key.rawValue): \($0.value.joined(separator: "|"))" }.joined(separator: ", ")
    }

    func matches(_ peer: PeerAttributes) -> Bool { conditions.allSatisfy { Self.holds($0, for: peer) } }

    private static func holds(_ condition: Condition, for peer: PeerAttributes) -> Bool {
        switch condition {
        case .text(let key, let wanted): peer.texts(key).contains { wanted.contains(Array($0.utf8)) }
        case .bytes(let key, let wanted): peer.bytes(key).contains(where: wanted.contains)
        case .uri(let patterns): peer.uris.contains { uri in patterns.contains { $0.matches(uri) } }
        }
    }

    private static func condition(_ key: Key, _ values: [String]) throws(Mistake) -> Condition {
        switch key {
        case .uri:
            var patterns: [URIPattern] = []
            for value in values {
                do throws(URIPattern.Mistake) { patterns.append(try URIPattern(value)) } catch {
                    throw Mistake(key: key, value: value, reason: error.reason)
                }
            }
            return .uri(patterns)
        case .ip: return .bytes(key, try parsed(key, values, "is no IP address", PeerAttributes.addressBytes))
        case .serial:
            return .bytes(key, try parsed(key, values, "is no hexadecimal serial", PeerAttributes.serialBytes))
        case .spki: return .bytes(key, try parsed(key, values, "is not sha256: and 64 hexadecimal digits", spkiHash))
        case .databaseUser: return .bytes(key, try parsed(key, values, "is empty") { Array($0.utf8) })
        default:
            for value in values {
                if value.isEmpty { throw Mistake(key: key, value: value, reason: "is empty") }
                if key != .issuer, value.contains("*") {
                    throw Mistake(key: key, value: value, reason: "`*` has a meaning in `uri` only")
                }
            }
            return .text(key, Set(values.map { Array($0.utf8) }))
        }
    }

    private static func parsed(
        _ key: Key, _ values: [String], _ reason: String, _ parse: (String) -> [UInt8]?
    ) throws(Mistake) -> Set<[UInt8]> {
        var all: Set<[UInt8]> = []
        for value in values {
            guard let bytes = parse(value), !bytes.isEmpty else {
                throw Mistake(key: key, value: value, reason: reason)
            }
            all.insert(bytes)
        }
        return all
    }

    private static func spkiHash(_ text: String) -> [UInt8]? {
        guard text.hasPrefix("sha256:") else { return nil }
        let bytes = PeerAttributes.hexadecimal(text.dropFirst("sha256:".count))
        return bytes?.count == 32 ? bytes : nil
    }
}
