import OpenSSL
import SwiftASN1

extension RequestWishes {
    /// CsrAttrs ::= SEQUENCE OF CHOICE { OBJECT IDENTIFIER, Attribute } (RFC 7030 §4.5.2), sorted by what each is.
    struct Findings {
        /// Of which a server may write the content: policies, and the templates of Microsoft's authorities.
        static let copiedExtensions: Set<String> = ["2.5.29.32", "1.3.6.1.4.1.311.20.2", "1.3.6.1.4.1.311.21.7"]
        /// Names and usages: each request has them.
        static let ownExtensions: Set<String> = ["2.5.29.15", "2.5.29.17", "2.5.29.37"]
        private static let challengePassword = "1.2.840.113549.1.9.7"
        static let extensionTemplate = "1.2.840.113549.1.9.16.2.62"
        private static let extensionRequest = "1.2.840.113549.1.9.14"
        static let ellipticCurveKey = "1.2.840.10045.2.1"
        static let rsaKey = "1.2.840.113549.1.1.1"
        private static let signatures: [String: WishedSignature] = [
            "1.2.840.10045.4.3.2": WishedSignature(family: .ellipticCurve, digest: .sha256),
            "1.2.840.10045.4.3.3": WishedSignature(family: .ellipticCurve, digest: .sha384),
            "1.2.840.10045.4.3.4": WishedSignature(family: .ellipticCurve, digest: .sha512),
            "1.2.840.113549.1.1.11": WishedSignature(family: .rsa, digest: .sha256),
            "1.2.840.113549.1.1.12": WishedSignature(family: .rsa, digest: .sha384),
            "1.2.840.113549.1.1.13": WishedSignature(family: .rsa, digest: .sha512),
            "2.16.840.1.101.3.4.2.1": WishedSignature(family: nil, digest: .sha256),
            "2.16.840.1.101.3.4.2.2": WishedSignature(family: nil, digest: .sha384),
            "2.16.840.1.101.3.4.2.3": WishedSignature(family: nil, digest: .sha512),
        ]

        var keys: [WishedKey] = []
        var signatures: [WishedSignature] = []
        var extensions: [RequestDetails.Extension] = []
        var demandsChannelBinding = false
        var others: [String] = []
        private var count = 0

        mutating func read(_ root: ASN1Node) throws {
            guard root.identifier == .sequence, case .constructed(let wishes) = root.content else {
                throw flaw("they are no SEQUENCE")
            }
            // Who understands a template reads nothing else (RFC 9908 §4).
            if let template = try Self.template(among: wishes) { return try read(template: template) }
            for wish in wishes {
                try countOne()
                if wish.identifier == .objectIdentifier {
                    add(try Self.name(wish))
                } else {
                    try addAttribute(wish)
                }
            }
        }

        mutating func countOne() throws {
            count += 1
            guard count <= RequestWishes.countLimit else {
                throw flaw("there are more than \(RequestWishes.countLimit)")
            }
        }

        mutating func add(_ name: String) {
            switch name {
            case Self.challengePassword: demandsChannelBinding = true
            case Self.extensionRequest: break
            case Self.ellipticCurveKey: keys.append(.ellipticCurve(nil))
            case Self.rsaKey: keys.append(.rsa(bits: nil))
            default:
                if let signature = Self.signatures[name] {
                    signatures.append(signature)
                } else {
                    others.append("the attribute \(name)")
                }
            }
        }

        /// Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET OF ANY } (RFC 2986 §4.1).
        mutating func addAttribute(_ node: ASN1Node) throws {
            guard node.identifier == .sequence, case .constructed(let parts) = node.content else {
                throw flaw("one is neither a name nor an attribute")
            }
            var iterator = parts.makeIterator()
            guard let type = iterator.next(), let set = iterator.next(), iterator.next() == nil,
                set.identifier == .set, case .constructed(let values) = set.content
            else { throw flaw("an attribute is not a name with a set of values") }
            let name = try Self.name(type)
            var isEmpty = true
            for value in values {
                isEmpty = false
                try countOne()
                switch name {
                case Self.ellipticCurveKey: keys.append(.ellipticCurve(try Self.name(value)))
                case Self.rsaKey: keys.append(.rsa(bits: try Int(berEncoded: value)))
                case Self.extensionRequest: try addExtensions(value)
                case Self.extensionTemplate: try addTemplates(ofExtensions: value)
                default: continue
                }
            }
            let isKnown = [Self.ellipticCurveKey, Self.rsaKey, Self.extensionRequest, Self.extensionTemplate]
                .contains(name)
            if isEmpty || !isKnown { add(name) }
        }

        /// The name of an extension (RFC 7030 §4.5.2), or extensions with their content (RFC 9908 §3.2).
        private mutating func addExtensions(_ node: ASN1Node) throws {
            if node.identifier == .objectIdentifier {
                let name = try Self.name(node)
                if !Self.ownExtensions.contains(name) { others.append("the extension \(name)") }
                return
            }
            guard node.identifier == .sequence, case .constructed(let list) = node.content else {
                throw flaw("a wished extension is neither a name nor a list of extensions")
            }
            for one in list {
                try countOne()
                extensions.append(try Self.extension(one))
            }
        }

        static func `extension`(_ node: ASN1Node) throws -> RequestDetails.Extension {
            try BER.sequence(node, identifier: .sequence) { nodes in
                let name = try ASN1ObjectIdentifier(berEncoded: &nodes)
                guard var next = nodes.next() else { throw flaw("a wished extension has no content") }
                var isCritical = false
                if next.identifier == .boolean {
                    isCritical = try Bool(berEncoded: next)
                    guard let content = nodes.next() else { throw flaw("a wished extension has no content") }
                    next = content
                }
                let value = try ASN1OctetString(berEncoded: next)
                return RequestDetails.Extension(
                    identifier: "\(name)", isCritical: isCritical, value: Array(value.bytes))
            }
        }

        static func name(_ node: ASN1Node) throws -> String { "\(try ASN1ObjectIdentifier(berEncoded: node))" }
    }
}
