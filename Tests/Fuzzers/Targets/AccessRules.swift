@testable import Proxy

extension FuzzTarget {
    /// A map of database users: either a mistake with its line, or a map that lets nobody in without a name.
    static let databaseUserMap = FuzzTarget("database-user-map") {
        [
            "common-name:shop shop_app shop_batch # two\nuri:spiffe://c/app/* app\n\"common-name:Jane Doe\" \"jane\"",
            "common-name =\ndns =\nemail =", "spki:sha256:00 a\nusage:clientAuth a\nip:::1 b",
        ].map { Array($0.utf8) }
    } check: { input in
        let map: DatabaseUserMap
        do throws(DatabaseUserMap.Mistake) { map = try DatabaseUserMap(input) } catch {
            let lineCount = input.count { $0 == 0x0A } + 1
            try promise(error.line.map { (1...lineCount).contains($0) } ?? true, "a mistake in line \(error.line ?? 0)")
            try promise(!error.reason.isEmpty, "a mistake without a word")
            return
        }
        var peer = PeerAttributes()
        try promise(!map.allows(peer), "nobody was let in")
        for user in input.split(separator: 0x20) {
            peer.session = SessionRequest(user: Array(user), database: nil, isReplication: false)
            try promise(!map.allows(peer), "a certificate without a name was let in")
        }
    }

    /// A pattern and a URI, one a line: the matcher says what trying everything says.
    static let uriPattern = FuzzTarget("uri-pattern", longest: 96) {
        [
            "spiffe://c/app/*\nspiffe://c/app/shop", "spiffe://c/**/x\nspiffe://c/a/b/x", "u:a*b**\nu:aab",
            "u://h/**/a*c/**\nu://h/x/abc/y/z", "u://h/*a*a*\nu://h/aaaaaa", "u:**\nu:a?b",
        ].map { Array($0.utf8) }
    } check: { input in
        let parts = input.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let text = String(validating: parts[0], as: UTF8.self),
            let uri = String(validating: parts[1], as: UTF8.self)
        else { return }
        let pattern: URIPattern
        do throws(URIPattern.Mistake) { pattern = try URIPattern(text) } catch { return }
        let expected = PlainURIMatch(text).matches(uri)
        try promise(pattern.matches(uri) == expected, "\(text) and \(uri): not \(expected)")
        if !text.contains("*") { try promise(pattern.matches(uri) == (text == uri), "a literal that is not one") }
    }

    /// Rules with groups, made of the input's bytes, mean what their words say; and each refusal has its reason.
    static let accessRule = FuzzTarget("access-rule", longest: 64) {
        [[0, 3], [1, 1, 0, 1, 5], [2, 2, 0, 1, 2, 7], [3, 0, 1, 2, 1, 2, 0, 1, 6], [1, 2, 2, 1, 0, 0, 1, 4]]
    } check: { input in
        guard let bits = input.last else { return }
        var rest = input.dropLast()
        let terms = terms(from: &rest, depth: 0)
        let rule: AccessRule
        do throws(AccessRule.Mistake) { rule = try AccessRule(terms) } catch {
            throw BrokenPromise(description: "\(terms): \(error)")
        }
        var peer = PeerAttributes()
        for (index, name) in names.enumerated() where bits & (1 << UInt8(index)) != 0 { peer.dnsNames.append(name) }
        let expected = holds(terms, peer.dnsNames)
        try promise(rule.allows(peer) == expected, "\(terms) and \(peer.dnsNames): not \(expected)")
        try promise((rule.mismatch(with: peer, in: .allow) == nil) == expected, "\(terms): a reason, or none")
        let policy = AccessPolicy(allow: [rule], deny: [rule])
        guard case .refused(let objection) = policy.authorize(peer) else {
            throw BrokenPromise(description: "\(terms): allowed what is denied, or what is not allowed")
        }
        try promise((objection == .noRule) != expected, "\(terms): \(objection)")
    }

    private static let names = ["a", "b", "c"]

    private static func terms(from rest: inout ArraySlice<UInt8>, depth: Int) -> RuleTerms {
        let byte = rest.popFirst() ?? 0
        let leaf = RuleTerms([.dns: [names[Int(byte >> 2) % names.count]]])
        guard depth < 3, byte & 3 != 0 else { return leaf }
        let group = (0..<1 + Int(byte >> 4) % 3).map { _ in terms(from: &rest, depth: depth + 1) }
        switch byte & 3 {
        case 1: return RuleTerms(all: group)
        case 2: return RuleTerms(any: group)
        default: return RuleTerms(leaf.keys, all: [terms(from: &rest, depth: depth + 1)], any: group)
        }
    }

    private static func holds(_ terms: RuleTerms, _ has: [String]) -> Bool {
        terms.keys.values.allSatisfy { values in values.contains(where: has.contains) }
            && (terms.all ?? []).allSatisfy { holds($0, has) }
            && (terms.any.map { $0.contains { holds($0, has) } } ?? true)
    }
}

/// What a pattern stands for, tried in every way; only for short ones.
private struct PlainURIMatch {
    private let prefix: String
    private let segments: [Substring]

    init(_ pattern: String) {
        let (prefix, path) = Self.split(pattern)
        self.prefix = prefix
        segments = path.split(separator: "/", omittingEmptySubsequences: false)
    }

    func matches(_ uri: String) -> Bool {
        guard uri.utf8.starts(with: prefix.utf8) else { return false }
        let rest = Array(uri.utf8.dropFirst(prefix.utf8.count))
        return Self.words(rest).map { Self.match(segments[...], $0[...]) } ?? false
    }

    private static func words(_ bytes: [UInt8]) -> [[UInt8]]? {
        bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { Array($0) }
    }

    /// Behind the authority, or behind the scheme where there is none.
    private static func split(_ text: String) -> (String, Substring) {
        guard let colon = text.firstIndex(of: ":") else { return (text, "") }
        let behind = text.index(after: colon)
        guard text[behind...].hasPrefix("//") else { return (String(text[..<behind]), text[behind...]) }
        let authority = text.index(behind, offsetBy: 2)
        guard let slash = text[authority...].firstIndex(of: "/") else { return (text, "") }
        let path = text.index(after: slash)
        return (String(text[..<path]), text[path...])
    }

    private static func match(_ segments: ArraySlice<Substring>, _ words: ArraySlice<[UInt8]>) -> Bool {
        guard let segment = segments.first else { return words.isEmpty }
        guard let word = words.first else { return false }
        if segment == "**" {
            guard isPlain(word) else { return false }
            return match(segments.dropFirst(), words.dropFirst()) || match(segments, words.dropFirst())
        }
        let isMatch =
            segment.contains("*")
            ? isPlain(word) && match(Array(segment.utf8)[...], word[...]) : Array(segment.utf8) == word
        return isMatch && match(segments.dropFirst(), words.dropFirst())
    }

    private static func match(_ pattern: ArraySlice<UInt8>, _ word: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return word.isEmpty }
        guard let letter = word.first else { return false }
        if first != UInt8(ascii: "*") { return first == letter && match(pattern.dropFirst(), word.dropFirst()) }
        return match(pattern.dropFirst(), word.dropFirst()) || match(pattern, word.dropFirst())
    }

    private static func isPlain(_ word: [UInt8]) -> Bool {
        !word.isEmpty && word != Array(".".utf8) && word != Array("..".utf8)
            && !word.contains { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }
    }
}
