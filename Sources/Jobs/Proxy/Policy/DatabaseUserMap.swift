/// Which certificates may be which database users, as lines of a file: pg_ident.conf for certificates.
///
/// A line is `KEY:VALUE USER…`, with the keys and values of access rules; the user `=` is the one that is named as the
/// certificate's own value of a bare `KEY`. Words in double quotes may have spaces, `#` begins a comment.
package struct DatabaseUserMap: Sendable, Equatable {
    package struct Mistake: Error, Sendable, Equatable, CustomStringConvertible {
        /// From 1; nil: of the whole file.
        package let line: Int?
        package let reason: String

        package var description: String { (line.map { "line \($0): " } ?? "") + reason }
    }

    package static let sizeLimit = 1 << 20
    /// Keys whose values may be names of users.
    private static let ownKeys: [AccessRule.Key] = [.commonName, .dns, .email]

    private var rules: [[UInt8]: [AccessRule]] = [:]
    private var own: Set<AccessRule.Key> = []

    package init(_ bytes: [UInt8]) throws(Mistake) {
        guard bytes.count <= Self.sizeLimit else {
            throw Mistake(line: nil, reason: "it is longer than \(Self.sizeLimit) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Mistake(line: nil, reason: "it is not UTF-8 text")
        }
        for (index, line) in text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            do throws(Flaw) { try add(try Self.words(line)) } catch {
                throw Mistake(line: index + 1, reason: error.reason)
            }
        }
        // Half a file, or a file of somebody else, must not pass for one.
        if rules.isEmpty, own.isEmpty { throw Mistake(line: nil, reason: "it maps nobody") }
    }

    /// Whether a line has both the peer and the user that it asks for.
    func allows(_ peer: PeerAttributes) -> Bool {
        guard let user = peer.session?.user else { return false }
        if rules[user]?.contains(where: { $0.matches(peer) }) == true { return true }
        return own.contains { peer.values($0).contains(user) }
    }

    private struct Flaw: Error { let reason: String }

    private struct Word {
        var text = ""
        var isQuoted = false
    }

    private mutating func add(_ words: [Word]) throws(Flaw) {
        guard let identity = words.first else { return }
        guard words.count > 1 else { throw Flaw(reason: "a line is KEY:VALUE USER…, and the user is missing") }
        let name = identity.text.prefix { $0 != ":" }
        guard let key = AccessRule.Key(rawValue: String(name)), !key.isOfSession else {
            throw Flaw(reason: "\"\(name)\" is no key of a certificate: write common-name:VALUE, uri:VALUE, …")
        }
        if identity.text.count == name.count { return try addOwn(key, words) }
        let rule: AccessRule
        do throws(AccessRule.Mistake) {
            rule = try AccessRule([key: [String(identity.text.dropFirst(name.count + 1))]])
        } catch { throw Flaw(reason: error.description) }
        for user in words.dropFirst() {
            if user.text == "=", !user.isQuoted { throw Flaw(reason: "the user = goes with a bare key only") }
            do throws(AccessRule.Mistake) {
                for bytes in try AccessRule.Key.databaseUser.compiled([user.text]) {
                    rules[bytes, default: []].append(rule)
                }
            } catch { throw Flaw(reason: error.description) }
        }
    }

    private mutating func addOwn(_ key: AccessRule.Key, _ words: [Word]) throws(Flaw) {
        guard words.count == 2, words[1].text == "=", !words[1].isQuoted else {
            throw Flaw(reason: "\"\(key.rawValue)\" has no value: write \(key.rawValue):VALUE, or = for the user")
        }
        guard Self.ownKeys.contains(key) else {
            let names = Self.ownKeys.map(\.rawValue).joined(separator: ", ")
            throw Flaw(reason: "the user = goes with \(names) only")
        }
        own.insert(key)
    }

    private static func words(_ line: Substring.UnicodeScalarView) throws(Flaw) -> [Word] {
        var words: [Word] = []
        var current: Word?
        var isInside = false
        for scalar in line {
            switch scalar {
            case "\"":
                isInside.toggle()
                if current == nil { current = Word() }
                current?.isQuoted = true
            case "#" where !isInside && current == nil: return words
            case " ", "\t", "\r":
                if isInside {
                    current?.text.unicodeScalars.append(scalar)
                } else {
                    if let word = current { words.append(word) }
                    current = nil
                }
            default:
                guard scalar.value >= 0x20, scalar.value != 0x7F else {
                    throw Flaw(reason: "a control character does not belong there")
                }
                if current == nil { current = Word() }
                current?.text.unicodeScalars.append(scalar)
            }
        }
        if isInside { throw Flaw(reason: "a double quote is not closed") }
        if let word = current { words.append(word) }
        return words
    }
}
