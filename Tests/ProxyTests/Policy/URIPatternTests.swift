import Testing

@testable import Proxy

@Suite struct `A URI pattern` {
    static let matching: [(String, String)] = [
        ("spiffe://c/app/shop", "spiffe://c/app/shop"),
        ("spiffe://c/app/*", "spiffe://c/app/shop"),
        ("spiffe://c/*/shop", "spiffe://c/app/shop"),
        ("spiffe://c/app/web-*", "spiffe://c/app/web-1"),
        ("spiffe://c/app/*-blue", "spiffe://c/app/a-blue-blue"),
        ("spiffe://c/app/a*b*c", "spiffe://c/app/aXbYbZc"),
        ("spiffe://c/**", "spiffe://c/a"),
        ("spiffe://c/**", "spiffe://c/a/b/c"),
        ("spiffe://c/**/db", "spiffe://c/a/b/db"),
        ("spiffe://c/a/**/z/**", "spiffe://c/a/b/z/z/y"),
        ("spiffe://c/**/a/*", "spiffe://c/a/a/a/b"),
        ("urn:app:shop", "urn:app:shop"),
        ("urn:app/*", "urn:app/x"),
        ("spiffe://c", "spiffe://c"),
    ]

    static let differing: [(String, String)] = [
        ("spiffe://c/app/*", "spiffe://c/app/"),
        ("spiffe://c/app/*", "spiffe://c/app"),
        ("spiffe://c/app/*", "spiffe://c/app/shop/extra"),
        ("spiffe://c/app/*", "spiffe://c/app/shop/"),
        ("spiffe://c/app/*", "spiffe://cc/app/shop"),
        ("spiffe://c/app/*", "spiffe://c.evil/app/shop"),
        ("spiffe://c/app/*", "SPIFFE://c/app/shop"),
        ("spiffe://c/app/*", "spiffe://c/App/shop"),
        ("spiffe://c/app/*", "spiffe://c/app/.."),
        ("spiffe://c/app/*", "spiffe://c/app/x?y"),
        ("spiffe://c/app/*", "spiffe://c/app/x#y"),
        ("spiffe://c/app/web-*", "spiffe://c/app/web-"),
        ("spiffe://c/app/*-blue", "spiffe://c/app/-blue"),
        ("spiffe://c/**", "spiffe://c/"),
        ("spiffe://c/**", "spiffe://c"),
        ("spiffe://c/**", "spiffe://c/a//b"),
        ("spiffe://c/**", "spiffe://c/a/../b"),
        ("spiffe://c/**/db", "spiffe://c/db"),
        ("spiffe://c/app/shop", "spiffe://c/app/shop2"),
        ("spiffe://c/app/shop", "spiffe://c/app/sho"),
        ("spiffe://c", "spiffe://c/"),
        ("spiffe://c/a*a", "spiffe://c/a"),
        ("spiffe://c/a*a", "spiffe://c/aa"),
        ("urn:app/*", "urn:app"),
    ]

    @Test(arguments: matching) func `matches what it stands for`(_ pattern: String, _ uri: String) throws {
        #expect(try URIPattern(pattern).matches(uri))
    }

    @Test(arguments: differing) func `matches nothing else`(_ pattern: String, _ uri: String) throws {
        #expect(try !URIPattern(pattern).matches(uri))
    }

    @Test(
        arguments: [
            "spiffe://*/app", "*://c/app", "shop", "", ":x", "spiffe://c/a**", "spiffe://c/**b", "spiffe://c/a**b",
            "spiffe://c/***", "spiffe://c/ä", "spiffe://c/a b", "spiffe://c/\0",
            "spiffe://c/" + String(repeating: "a", count: 2048),
        ])
    func `that is wrong is a mistake with a reason`(_ pattern: String) {
        let error = #expect(throws: URIPattern.Mistake.self) { try URIPattern(pattern) }
        #expect(error?.reason.isEmpty == false)
    }

    @Test func `costs little time even when it is made to backtrack`() throws {
        let pattern = try URIPattern("spiffe://c/" + String(repeating: "**/a/", count: 100) + "b")
        let uri = "spiffe://c/" + String(repeating: "a/", count: 1000) + "c"
        let start = ContinuousClock.now
        #expect(!pattern.matches(uri))
        #expect(start.duration(to: .now) < .seconds(2))
    }

    /// Compares with the plain definition on all short words over a small alphabet.
    @Test func `agrees with its definition`() throws {
        let pieces = ["a", "*", "**", "b", "a*"]
        let words = ["a", "b", "ab", "aa", ""]
        var patterns: [[String]] = [[]]
        for _ in 0..<3 { patterns += patterns.flatMap { pattern in pieces.map { pattern + [$0] } } }
        var paths: [[String]] = [[]]
        for _ in 0..<3 { paths += paths.flatMap { path in words.map { path + [$0] } } }
        for pattern in Set(patterns) where !pattern.isEmpty {
            let compiled = try URIPattern("x://c/" + pattern.joined(separator: "/"))
            for path in Set(paths) where !path.isEmpty {
                let expected = Self.defined(pattern[...], path[...])
                #expect(compiled.matches("x://c/" + path.joined(separator: "/")) == expected, "\(pattern) \(path)")
            }
        }
    }

    private static func defined(_ pattern: ArraySlice<String>, _ path: ArraySlice<String>) -> Bool {
        guard let first = pattern.first else { return path.isEmpty }
        guard let word = path.first else { return false }
        let rest = path.dropFirst()
        switch first {
        case "**": return !word.isEmpty && (defined(pattern.dropFirst(), rest) || defined(pattern, rest))
        case "*": return !word.isEmpty && defined(pattern.dropFirst(), rest)
        case "a*": return word.hasPrefix("a") && word.count > 1 && defined(pattern.dropFirst(), rest)
        default: return word == first && defined(pattern.dropFirst(), rest)
        }
    }
}
