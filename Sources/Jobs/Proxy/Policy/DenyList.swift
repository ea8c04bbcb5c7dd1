import IO
import OpenSSL

/// Who is refused at once, whatever certificates, lists and rules say: read from a file with one entry a line, a key
/// and its value. Immutable; shared by all lanes.
///
/// ```
/// # what follows a # at the beginning of a line is a comment
/// serial 0A:1B CN=cluster-a intermediate,O=Example
/// spki sha256:…
/// uri spiffe://cluster-a/app/shop
/// common-name reporting
/// ```
package final class DenyList: Sendable {
    /// What is wrong with a file, by line; the first few.
    package struct Mistakes: Error, Sendable, Equatable, CustomStringConvertible {
        package let path: String
        package let lines: [(number: Int, reason: String)]
        package let count: Int

        package var description: String {
            let told = lines.map { "\(path):\($0.number): \($0.reason)" }
            return (told + (count > lines.count ? ["and \(count - lines.count) more"] : [])).joined(separator: "\n")
        }

        package static func == (one: Mistakes, other: Mistakes) -> Bool { one.description == other.description }
    }

    private struct Serial: Hashable {
        let number: [UInt8]
        let issuer: [UInt8]
    }

    private struct Entries {
        var values: [AccessRule.Key: Set<[UInt8]>] = [:]
        var serials: Set<Serial> = []
        var patterns: [(text: String, pattern: URIPattern)] = []
        var count = 0
    }

    private struct Flaw: Error { let reason: String }

    private let entries: Entries

    static let sizeLimit = 32 << 20
    static let entryLimit = 200_000
    /// Each costs a comparison for each URI.
    static let patternLimit = 1000
    private static let toldMistakes = 10

    package init() { entries = Entries() }

    /// Blocks while it reads.
    package convenience init(path: String) throws {
        try self.init(text: try Files.read(path, limit: Self.sizeLimit), path: path)
    }

    package init(text: [UInt8], path: String) throws(Mistakes) {
        var entries = Entries()
        var mistakes: [(number: Int, reason: String)] = []
        var count = 0
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            do throws(Flaw) {
                try Self.read(line, into: &entries)
            } catch {
                count += 1
                if mistakes.count < Self.toldMistakes { mistakes.append((index + 1, error.reason)) }
            }
        }
        if count > 0 { throw Mistakes(path: path, lines: mistakes, count: count) }
        self.entries = entries
    }

    package var count: Int { entries.count }

    /// The entry that denies a chain, leaf first.
    package func denial(of chain: [Certificate]) -> String? {
        chain.first.flatMap { denial(of: PeerAttributes($0), chain.dropFirst().map { PeerAttributes($0) }) }
    }

    /// The entry that denies the peer, or an authority of its chain; nil if there is none.
    func denial(of peer: PeerAttributes, _ authorities: [PeerAttributes] = []) -> String? {
        if count == 0 { return nil }
        for one in [peer] + authorities { if let entry = entry(for: one) { return entry } }
        return nil
    }

    private func entry(for peer: PeerAttributes) -> String? {
        if !entries.serials.isEmpty, let number = PeerAttributes.serialBytes(peer.serial),
            entries.serials.contains(Serial(number: number, issuer: Array(peer.issuer.utf8)))
        {
            return "serial \(peer.serial) \(peer.issuer)"
        }
        for (key, wanted) in entries.values {
            for (value, text) in zip(peer.values(key), peer.shown(key)) where wanted.contains(value) {
                return "\(key.rawValue) \(text)"
            }
        }
        return entries.patterns.first { peer.uris.contains(where: $0.pattern.matches) }.map { "uri \($0.text)" }
    }

    // MARK: reading

    private static func read(_ line: ArraySlice<UInt8>, into entries: inout Entries) throws(Flaw) {
        guard let text = String(validating: line, as: UTF8.self) else { throw Flaw(reason: "this is not UTF-8 text") }
        let trimmed = trim(text[...])
        if trimmed.isEmpty || trimmed.hasPrefix("#") { return }
        let word = trimmed.prefix { $0 != " " && $0 != "\t" }
        let value = String(trim(trimmed[word.endIndex...]))
        entries.count += 1
        if entries.count > entryLimit { throw Flaw(reason: "there are more than \(entryLimit) entries") }
        guard let key = AccessRule.Key(rawValue: String(word)), known.contains(key) else {
            throw Flaw(
                reason: "'\(word)' is no key of a deny list: write \(known.map(\.rawValue).joined(separator: ", "))")
        }
        if value.isEmpty { throw Flaw(reason: "'\(key.rawValue)' has no value") }
        switch key {
        case .serial: entries.serials.insert(try serial(value))
        case .uri where value.contains("*"):
            if entries.patterns.count >= patternLimit {
                throw Flaw(reason: "there are more than \(patternLimit) URIs with *")
            }
            entries.patterns.append((value, try pattern(value)))
        case .uri:
            _ = try pattern(value)
            entries.values[key, default: []].insert(Array(value.utf8))
        case .ip: entries.values[key, default: []].insert(try bytes(PeerAttributes.addressBytes(value), value, key))
        case .spki: entries.values[key, default: []].insert(try bytes(hash(value), value, key))
        default: entries.values[key, default: []].insert(Array(value.utf8))
        }
    }

    private static let known: [AccessRule.Key] = [
        .serial, .spki, .uri, .commonName, .dns, .ip, .email, .organization, .organizationalUnit, .issuer,
    ]

    private static func trim(_ text: Substring) -> Substring {
        func isSpace(_ character: Character) -> Bool { " \t\r\r\n".contains(character) }
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }

    private static func serial(_ value: String) throws(Flaw) -> Serial {
        let digits = value.prefix { $0 != " " && $0 != "\t" }
        let issuer = trim(value[digits.endIndex...])
        if issuer.isEmpty {
            throw Flaw(reason: "a serial number counts with its issuer: write serial 0A:1B CN=the issuer's name")
        }
        guard let number = PeerAttributes.serialBytes(String(digits)) else {
            throw Flaw(reason: "'\(digits)' is no hexadecimal serial")
        }
        return Serial(number: number, issuer: Array(issuer.utf8))
    }

    private static func pattern(_ value: String) throws(Flaw) -> URIPattern {
        do throws(URIPattern.Mistake) { return try URIPattern(value) } catch {
            throw Flaw(reason: "'\(value)' \(error.reason)")
        }
    }

    private static func hash(_ value: String) -> [UInt8]? {
        guard value.hasPrefix("sha256:") else { return nil }
        let bytes = PeerAttributes.hexadecimal(value.dropFirst("sha256:".count))
        return bytes?.count == 32 ? bytes : nil
    }

    private static func bytes(_ bytes: [UInt8]?, _ value: String, _ key: AccessRule.Key) throws(Flaw) -> [UInt8] {
        if let bytes { return bytes }
        let reason = key == .ip ? "is no IP address" : "is not sha256: and 64 hexadecimal digits"
        throw Flaw(reason: "'\(value)' \(reason)")
    }
}
