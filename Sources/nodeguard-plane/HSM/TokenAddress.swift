import FoundationEssentials
import Glibc

/// Which PKCS #11 token holds the plane's keys, by which module, and where its user's PIN is read: a URI as RFC 7512
/// has it, as far as it names a token. The PIN itself never stands in it.
struct TokenAddress: Sendable, Equatable {
    /// As it was written.
    let text: String
    /// What the token must say of itself.
    let wanted: [Field: String]
    let slot: UInt?
    /// A shared library.
    let module: String
    /// nil: the token wants none.
    let pinSource: PINSource?

    enum Field: String, Sendable, CaseIterable { case token, serial, manufacturer, model }

    enum PINSource: Sendable, Equatable {
        case file(String)
        /// Of systemd (`LoadCredential=`), by name.
        case credential(String)
    }

    static let form =
        "write pkcs11:token=LABEL?module-path=/PATH/OF/MODULE.so&pin-source=file:/PATH (or credential:NAME)"

    /// Of the token alone, for people.
    var name: String { String(text.prefix { $0 != "?" }) }

    init(_ text: String) throws(PlaneProblem) {
        guard text.hasPrefix("pkcs11:"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw PlaneProblem("'\(text.prefix(200))' is no URI of a PKCS #11 token", remedy: Self.form)
        }
        let halves = text.dropFirst("pkcs11:".count).split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var attributes = try Self.attributes(halves[0].split(separator: ";"))
        let query = halves.count == 2 ? try Self.attributes(halves[1].split(separator: "&")) : [:]
        if query["pin-value"] != nil || attributes["pin-value"] != nil {
            throw PlaneProblem(
                "the URI of the token holds a PIN, which everybody on this machine may read",
                remedy: "write it into a file of mode 0600, name that with pin-source=file:/PATH, and change the PIN")
        }
        // RFC 7512 §2.3 has no name in both halves.
        attributes.merge(query) { first, _ in first }
        self.text = text
        var wanted: [Field: String] = [:]
        for field in Field.allCases { wanted[field] = attributes.removeValue(forKey: field.rawValue) }
        self.wanted = wanted
        slot = try attributes.removeValue(forKey: "slot-id").map { (text) throws(PlaneProblem) in
            guard let number = UInt(text) else {
                throw PlaneProblem("slot-id=\(text) is no number", remedy: Self.form)
            }
            return number
        }
        pinSource = try attributes.removeValue(forKey: "pin-source").map(Self.pinSource)
        guard let path = attributes.removeValue(forKey: "module-path"), path.hasPrefix("/") else {
            throw PlaneProblem("the URI of the token names no module by its whole path", remedy: Self.form)
        }
        module = path
        if let other = attributes.keys.min() {
            throw PlaneProblem(
                "the URI of the token has '\(other)', which means nothing here",
                remedy: "the plane makes and names its own keys; known are token, serial, manufacturer, model, "
                    + "slot-id, module-path and pin-source")
        }
        guard wanted[.token] != nil || wanted[.serial] != nil || slot != nil else {
            throw PlaneProblem(
                "the URI names no one token", remedy: "give token=LABEL, serial=NUMBER or slot-id=NUMBER")
        }
    }

    private static func attributes(_ parts: [Substring]) throws(PlaneProblem) -> [String: String] {
        var found: [String: String] = [:]
        for part in parts {
            let pair = part.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, let value = decoded(pair[1]) else {
                throw PlaneProblem("'\(part)' is no attribute of the URI of a token", remedy: form)
            }
            guard found.updateValue(value, forKey: String(pair[0])) == nil else {
                throw PlaneProblem("'\(pair[0])' stands twice in the URI of the token", remedy: form)
            }
        }
        return found
    }

    /// nil: it is no percent-encoded UTF-8 (RFC 3986 §2.1), or has a NUL.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let octet = Hex.decode(String(decoding: rest.prefix(2), as: UTF8.self))?.first else { return nil }
            bytes.append(octet)
            rest = rest.dropFirst(2)
        }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private static func pinSource(_ text: String) throws(PlaneProblem) -> PINSource {
        if text.hasPrefix("credential:") {
            let name = String(text.dropFirst("credential:".count))
            guard !name.isEmpty, !name.hasPrefix("."), !name.contains("/") else {
                throw PlaneProblem("'\(name)' is no name of a credential", remedy: form)
            }
            return .credential(name)
        }
        var path = text.hasPrefix("file:") ? String(text.dropFirst("file:".count)) : text
        if path.hasPrefix("///") { path.removeFirst(2) }
        guard path.hasPrefix("/") else {
            throw PlaneProblem("pin-source=\(text) names no file by its whole path", remedy: form)
        }
        return .file(path)
    }

    // MARK: where a plane's stands

    static func file(in directory: String) -> String { directory + "/hsm" }

    /// What the file `hsm` of a state folder says, so that every verb finds the keys; nil: they are files.
    static func named(in directory: String) throws -> TokenAddress? {
        let path = file(in: directory)
        guard StateFile.exists(path) else { return nil }
        let lines = String(decoding: try StateFile.read(path), as: UTF8.self).split(whereSeparator: \.isNewline)
        guard lines.count == 1, let line = lines.first else {
            throw PlaneProblem("\(path) does not name a token", remedy: "one line: \(form)")
        }
        return try TokenAddress(String(line))
    }

    func write(in directory: String) throws {
        try StateFile.write(Array((text + "\n").utf8), to: Self.file(in: directory))
    }

    // MARK: the PIN's file

    /// nil: the token wants no PIN, or there are no credentials here.
    var pinFile: String? {
        switch pinSource {
        case .file(let path): path
        case .credential(let name): getenv("CREDENTIALS_DIRECTORY").map { String(cString: $0) + "/" + name }
        case nil: nil
        }
    }

    /// Changes with whatever is written there, while one process lives; nothing of the PIN is in it. nil: there is
    /// none.
    var pinMark: String? {
        guard let pinFile, let found = try? FileManager.default.attributesOfItem(atPath: pinFile) else { return nil }
        let parts: [Any?] = [
            found[.systemNumber], found[.systemFileNumber], found[.size],
            (found[.modificationDate] as? Date)?.timeIntervalSince1970,
        ]
        return parts.map { $0.map { "\($0)" } ?? "-" }.joined(separator: " ")
    }
}
