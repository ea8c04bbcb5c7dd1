/// Which token, by which module, with whose PIN: a PKCS #11 URI (RFC 7512) as far as it names a token.
///
/// Keys are made and named by nodeguard, so that a URI that names one object is refused. The PIN itself never stands in
/// it.
package struct TokenURI: Sendable, Hashable {
    /// What is wrong with a text, as one sentence without a full stop.
    package struct Flaw: Error, Equatable, Sendable { package let text: String }

    /// Where the PIN is read, each time that it is needed.
    package enum PIN: Sendable, Hashable {
        case file(String)
        /// Of systemd (`LoadCredential=`), by name.
        case credential(String)
    }

    package let token: String?
    package let serial: String?
    package let manufacturer: String?
    package let model: String?
    package let slot: UInt?
    /// A shared library.
    package let module: String
    /// nil: the token wants none.
    package let pin: PIN?
    /// As it was written.
    package let text: String

    /// Tells one token from another; without module and PIN.
    package var name: String { String(text.prefix { $0 != "?" }) }

    package init(_ text: String) throws(Flaw) {
        self.text = text
        guard text.hasPrefix("pkcs11:") else { throw Flaw(text: "'\(text)' is no PKCS #11 URI") }
        let halves = text.dropFirst("pkcs11:".count).split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var path = try Self.attributes(halves[0], separator: ";")
        var query = halves.count > 1 ? try Self.attributes(halves[1], separator: "&") : [:]
        token = path.removeValue(forKey: "token")
        serial = path.removeValue(forKey: "serial")
        manufacturer = path.removeValue(forKey: "manufacturer")
        model = path.removeValue(forKey: "model")
        slot = try path.removeValue(forKey: "slot-id").map { (text) throws(Flaw) in
            guard let number = UInt(text) else { throw Flaw(text: "slot-id=\(text) is no number") }
            return number
        }
        if query["pin-value"] != nil {
            throw Flaw(
                text:
                    "a PIN does not stand in the configuration: put it into a file or a systemd credential, and write "
                    + "pin-source=file:/path or pin-source=credential:NAME instead of pin-value")
        }
        pin = try query.removeValue(forKey: "pin-source").map { (text) throws(Flaw) in try Self.pin(text) }
        guard let module = query.removeValue(forKey: "module-path") else {
            throw Flaw(text: "the URI names no module: add ?module-path=/path/of/the/module.so")
        }
        guard module.hasPrefix("/"), !module.utf8.contains(0) else {
            throw Flaw(text: "module-path=\(module) must be a path that begins with /")
        }
        self.module = module
        if token == nil, serial == nil, slot == nil {
            throw Flaw(text: "the URI must name one token: token=LABEL, serial=NUMBER or slot-id=NUMBER")
        }
        if let other = (Array(path.keys) + Array(query.keys)).min() {
            let isOfKey = ["object", "id", "type"].contains(other)
            throw Flaw(
                text: isOfKey
                    ? "'\(other)' names a key, and nodeguard makes and names its own: leave it out"
                    : "the attribute '\(other)' is not known here; known: token, serial, manufacturer, model, slot-id, "
                        + "module-path, pin-source")
        }
    }

    private static func pin(_ text: String) throws(Flaw) -> PIN {
        if text.hasPrefix("credential:") {
            let name = String(text.dropFirst("credential:".count))
            guard !name.isEmpty, name != ".", name != "..", !name.contains("/") else {
                throw Flaw(text: "'\(name)' is no name of a credential")
            }
            return .credential(name)
        }
        let path = text.hasPrefix("file:///") ? String(text.dropFirst(7)) : text.replacingPrefix("file:", with: "")
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw Flaw(text: "pin-source=\(text) must be file:/path or credential:NAME")
        }
        return .file(path)
    }

    private static func attributes(
        _ text: Substring, separator: Character
    ) throws(Flaw) -> [String: String] {
        var found: [String: String] = [:]
        for part in text.split(separator: separator) {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(pair[0])
            guard pair.count == 2, !pair[1].isEmpty, let value = decoded(pair[1]) else {
                throw Flaw(text: "'\(part)' is no attribute of a PKCS #11 URI: write name=value, octets as %41")
            }
            // RFC 7512 §2.3: at most once.
            if found.updateValue(value, forKey: name) != nil { throw Flaw(text: "'\(name)' is there twice") }
        }
        return found
    }

    /// nil: it is no percent-encoded UTF-8.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let digits = String(rest.prefix(2)),
                digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
                let value = UInt8(digits, radix: 16)
            else { return nil }
            rest = rest.dropFirst(2)
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String, with other: String) -> String {
        hasPrefix(prefix) ? other + dropFirst(prefix.count) : self
    }
}
