import FoundationEssentials

/// What a new node is given to join: where the plane is, which cluster and node it is to be, the pins of the plane's
/// root, and a token that works once. Text form: `nodeguard-join:1:` + base64url of the JSON, one line.
package struct JoinBundle: Codable, Sendable, Equatable {
    package static let prefix = "nodeguard-join:1:"
    /// A bundle larger than this is not one.
    package static let sizeLimit = 16 << 10

    package let url: String
    package let cluster: String
    package let node: String
    /// `sha256:` and the hex of SHA-256 over the root's SubjectPublicKeyInfo; at least one.
    package let pins: [String]
    package let token: String

    package init(url: String, cluster: String, node: String, pins: [String], token: String) {
        self.url = url
        self.cluster = cluster
        self.node = node
        self.pins = pins
        self.token = token
    }

    /// Why a text is no join bundle. Never quotes the text, which holds a token.
    package enum Flaw: Error, Sendable, Equatable, CustomStringConvertible {
        case notABundle, tooLarge, notBase64, notJSON(String), missingPin, badPin(String), badURL(String), badName(
            String)

        package var description: String {
            switch self {
            case .notABundle: "this is not a join bundle: it does not begin with \(JoinBundle.prefix)"
            case .tooLarge: "this is not a join bundle: it is longer than \(JoinBundle.sizeLimit) bytes"
            case .notBase64: "the join bundle is damaged: what follows the prefix is not base64url; copy the whole line"
            case .notJSON(let field): "the join bundle is damaged: \(field) is missing or has the wrong type"
            case .missingPin: "the join bundle has no pin of the plane's root: ask for a new bundle"
            case .badPin(let pin): "the join bundle has a pin that is not sha256: and 64 hex digits: \(pin)"
            case .badURL(let url): "the join bundle's url must begin with https://: \(url)"
            case .badName(let field):
                "the join bundle's \(field) may hold letters, digits, '.', '_' and '-' only, 1 to 63"
            }
        }
    }

    package init(text: String) throws(Flaw) {
        let line = text.trimmingPrefix { $0.isWhitespace }
        let bytes = line.utf8.count
        if bytes > Self.sizeLimit { throw .tooLarge }
        guard line.hasPrefix(Self.prefix) else { throw .notABundle }
        let encoded = line.dropFirst(Self.prefix.count).prefix { !$0.isWhitespace }
        guard let json = Base64URL.decode(String(encoded)) else { throw .notBase64 }
        do {
            self = try JSONDecoder().decode(JoinBundle.self, from: json)
        } catch DecodingError.keyNotFound(let key, _) {
            throw .notJSON(key.stringValue)
        } catch DecodingError.typeMismatch(_, let context) {
            throw .notJSON(context.codingPath.last?.stringValue ?? "the document")
        } catch {
            throw .notJSON("the JSON document")
        }
        try check(hasToken: !token.isEmpty)
    }

    /// One line without its newline.
    package var text: String {
        get throws { Self.prefix + Base64URL.encode(try JSONEncoder.plane.encode(self)) }
    }

    /// Whatever can be wrong with it once it is read.
    package func check(hasToken: Bool) throws(Flaw) {
        guard url.hasPrefix("https://") else { throw .badURL(url) }
        guard Name.isValid(cluster) else { throw .badName("cluster") }
        guard Name.isValid(node) else { throw .badName("node") }
        guard hasToken else { throw .notJSON("token") }
        guard !pins.isEmpty else { throw .missingPin }
        for pin in pins {
            let digits = pin.dropFirst("sha256:".count)
            guard pin.hasPrefix("sha256:"), digits.utf8.count == 64, digits.allSatisfy(\.isHexDigit) else {
                throw .badPin(pin)
            }
        }
    }
}

/// Names of clusters, nodes, roles and backups: they become path segments and certificate names.
package enum Name {
    package static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...63).contains(bytes.count), bytes != [0x2E], bytes != [0x2E, 0x2E] else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }
}

/// RFC 4648 §5, without padding.
package enum Base64URL {
    package static func encode(_ bytes: Data) -> String {
        bytes.base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    package static func decode(_ text: String) -> Data? {
        guard !text.contains("+"), !text.contains("/"), !text.contains("=") else { return nil }
        let standard = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - standard.count % 4) % 4)
        // One form only: Foundation overlooks set bits in the padding.
        return Data(base64Encoded: standard + padding).flatMap { encode($0) == text ? $0 : nil }
    }
}

extension JSONEncoder {
    /// The plane's JSON: sorted keys, no escaped slashes, `Data` as base64.
    package static var plane: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
