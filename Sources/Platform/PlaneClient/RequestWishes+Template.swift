import OpenSSL
import SwiftASN1

/// A request that the server has filled in as far as it can (RFC 9908 §3.4, with IMPLICIT TAGS):
///
///     CertificationRequestInfoTemplate ::= SEQUENCE {
///         version INTEGER, subject NameTemplate OPTIONAL,
///         subjectPKInfo [0] SubjectPublicKeyInfoTemplate OPTIONAL, attributes [1] Attributes }
extension RequestWishes.Findings {
    private static let templateName = "1.2.840.113549.1.9.16.2.61"
    /// Common name and organization: each request has them.
    private static let ownNames: Set<String> = ["2.5.4.3", "2.5.4.10"]

    /// nil: there is none.
    static func template(among wishes: ASN1NodeCollection) throws -> ASN1Node? {
        var found: ASN1Node?
        for wish in wishes where wish.identifier == .sequence {
            guard case .constructed(let parts) = wish.content else { continue }
            var iterator = parts.makeIterator()
            guard let type = iterator.next(), type.identifier == .objectIdentifier, try name(type) == templateName
            else { continue }
            guard let set = iterator.next(), set.identifier == .set, case .constructed(let values) = set.content,
                iterator.next() == nil, found == nil
            else { throw flaw("a template is one value in a set, and there is one") }
            var each = values.makeIterator()
            found = each.next()
            guard found != nil, each.next() == nil else { throw flaw("a template is one value in a set") }
        }
        return found
    }

    mutating func read(template: ASN1Node) throws {
        var parts = try Self.parts(of: template, "the template").makeIterator()
        guard let version = parts.next(), try Int(berEncoded: version) == 0 else {
            throw flaw("the template is of another version than 1")
        }
        while let part = parts.next() {
            try countOne()
            switch part.identifier {
            case .sequence: try addSubject(part)
            case ASN1Identifier(tagWithNumber: 0, tagClass: .contextSpecific): try addKey(part)
            case ASN1Identifier(tagWithNumber: 1, tagClass: .contextSpecific):
                for attribute in try Self.parts(of: part, "the template's attributes") {
                    try countOne()
                    try addAttribute(attribute)
                }
            default: throw flaw("the template has a part that no request has")
            }
        }
    }

    /// Names are the configuration's alone: one that is left to us is there, one that is dictated is told.
    private mutating func addSubject(_ node: ASN1Node) throws {
        for step in try Self.parts(of: node, "the template's subject") {
            for one in try Self.parts(of: step, "a name of the template") {
                try countOne()
                var parts = try Self.parts(of: one, "a name of the template").makeIterator()
                guard let type = parts.next() else { throw flaw("a name of the template has no type") }
                let name = try Self.name(type)
                if parts.next() != nil {
                    others.append("its own content of the subject's \(name)")
                } else if !Self.ownNames.contains(name) {
                    others.append("the subject's \(name)")
                }
            }
        }
    }

    /// An RSA key is meant to be as long as the one that stands for it (RFC 9908 §3.4).
    private mutating func addKey(_ node: ASN1Node) throws {
        var parts = try Self.parts(of: node, "the template's key").makeIterator()
        guard let algorithm = parts.next() else { throw flaw("the template's key has no algorithm") }
        var words = try Self.parts(of: algorithm, "the template's key").makeIterator()
        guard let type = words.next() else { throw flaw("the template's key has no algorithm") }
        let name = try Self.name(type)
        let (parameters, example) = (words.next(), parts.next())
        switch name {
        case Self.ellipticCurveKey:
            let curve = try parameters.flatMap { $0.identifier == .objectIdentifier ? try Self.name($0) : nil }
            keys.append(.ellipticCurve(curve))
        case Self.rsaKey: keys.append(.rsa(bits: try example.map(Self.bits)))
        default: others.append("a key of the kind \(name)")
        }
    }

    /// RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 §A.1.1).
    private static func bits(ofKey node: ASN1Node) throws -> Int {
        let key = try BER.parse(Array(try ASN1BitString(berEncoded: node).bytes))
        var parts = try parts(of: key, "the template's RSA key").makeIterator()
        guard let modulus = parts.next(), case .primitive(let bytes) = modulus.content else {
            throw flaw("the template's RSA key has no modulus")
        }
        let digits = bytes.drop { $0 == 0 }
        return digits.count * 8 - (digits.first?.leadingZeroBitCount ?? 0)
    }

    /// ExtensionTemplate ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING OPTIONAL }
    mutating func addTemplates(ofExtensions node: ASN1Node) throws {
        for one in try Self.parts(of: node, "the template's extensions") {
            try countOne()
            let parts = Array(try Self.parts(of: one, "the template's extension"))
            guard let type = parts.first else { throw flaw("the template's extension has no name") }
            if parts.last?.identifier == .octetString {
                extensions.append(try Self.extension(one))
            } else {
                let name = try Self.name(type)
                if !Self.ownExtensions.contains(name) { others.append("the extension \(name)") }
            }
        }
    }

    private static func parts(of node: ASN1Node, _ what: String) throws -> ASN1NodeCollection {
        guard case .constructed(let parts) = node.content else { throw flaw("\(what) cannot be read") }
        return parts
    }

    private func flaw(_ detail: String) -> PlaneError { RequestWishes.flaw(detail) }
    private static func flaw(_ detail: String) -> PlaneError { RequestWishes.flaw(detail) }
}
