import FoundationEssentials
import OpenSSL
import PlaneAPI

/// A join bundle as a node keeps it: its token lies in memory that wipes itself, from the file on.
package struct JoinOffer: Sendable, Equatable {
    /// Without its token.
    package let bundle: JoinBundle
    package let token: SecretReference
    /// SHA-256 of the token, which has enough entropy for this to tell nothing.
    package let digest: [UInt8]

    package static func == (left: JoinOffer, right: JoinOffer) -> Bool {
        left.bundle == right.bundle && left.digest == right.digest
    }

    /// Of the line's text, as `JoinBundle` reads it. Its words say nothing of the token.
    package init(reading text: SecretReference) throws(JoinBundle.Flaw) {
        let json = try text.withBytes { (text) throws(JoinBundle.Flaw) in try Self.json(in: text) }
        (bundle, token) = try json.withBytes { (bytes) throws(JoinBundle.Flaw) in try Self.parts(of: bytes) }
        digest = Digest.sha256(token)
    }

    private static func json(in text: Span<UInt8>) throws(JoinBundle.Flaw) -> SecretReference {
        let space: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D]
        var start = 0
        while start < text.count, space.contains(text[start]) { start += 1 }
        if text.count - start > JoinBundle.sizeLimit { throw .tooLarge }
        for character in JoinBundle.prefix.utf8 {
            guard start < text.count, text[start] == character else { throw .notABundle }
            start += 1
        }
        var end = start
        while end < text.count, !space.contains(text[end]) { end += 1 }
        guard let json = SecretBytes.decoding(base64URL: text, in: start..<end) else { throw .notBase64 }
        return SecretReference(json)
    }

    private static func parts(of bytes: Span<UInt8>) throws(JoinBundle.Flaw) -> (JoinBundle, SecretReference) {
        guard let object = FlatObject(bytes) else { throw .notJSON("the JSON document") }
        let bundle = JoinBundle(
            url: try word("url", object, bytes), cluster: try word("cluster", object, bytes),
            node: try word("node", object, bytes), pins: try pins(object, bytes), token: "")
        guard let range = object.texts["token"] else { throw .notJSON("token") }
        let characters = bytes.extracting(range)
        for index in characters.indices where characters[index] == UInt8(ascii: "\\") { throw .notJSON("token") }
        try bundle.check(hasToken: !range.isEmpty)
        return (bundle, SecretReference(SecretBytes(copying: characters)))
    }

    private static func word(
        _ name: String, _ object: FlatObject, _ bytes: Span<UInt8>
    ) throws(JoinBundle.Flaw) -> String {
        guard let range = object.texts[name] else { throw .notJSON(name) }
        let list =
            [UInt8(ascii: "["), UInt8(ascii: "\"")] + FlatObject.copy(bytes.extracting(range))
            + [UInt8(ascii: "\""), UInt8(ascii: "]")]
        guard let word = try? JSONDecoder().decode([String].self, from: Data(list)).first else { throw .notJSON(name) }
        return word
    }

    private static func pins(_ object: FlatObject, _ bytes: Span<UInt8>) throws(JoinBundle.Flaw) -> [String] {
        guard let range = object.others["pins"],
            let pins = try? JSONDecoder().decode([String].self, from: Data(FlatObject.copy(bytes.extracting(range))))
        else { throw .notJSON("pins") }
        return pins
    }
}

extension String {
    /// Without the secret, should it stand there: a server may repeat in its answer what it was sent.
    package func hiding(_ secret: SecretReference) -> String {
        var text = Array(utf8)
        secret.withBytes { secret in
            guard secret.count > 0 else { return }
            var start = 0
            while start + secret.count <= text.count {
                var length = 0
                while length < secret.count, text[start + length] == secret[length] { length += 1 }
                if length == secret.count { text.replaceSubrange(start..<start + length, with: "(the token)".utf8) }
                start += 1
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
