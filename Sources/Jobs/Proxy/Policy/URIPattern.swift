/// A URI in which, within the path, `*` stands for one segment or a part of one, and `**` for one or more whole
/// segments.
///
/// Compiled once, matched byte by byte in time proportional to the product of both lengths. Neither wildcard stands for
/// nothing, crosses into a query or fragment, or may appear before the path: a trust domain is named, never guessed.
struct URIPattern: Sendable, Equatable {
    struct Mistake: Error, Equatable { let reason: String }

    private enum Segment: Sendable, Equatable {
        case literal([UInt8])
        /// Literal parts around each `*`; the first and last may be empty.
        case parts([[UInt8]])
        case anySegments
    }

    private static let longest = 2048
    private static let slash = UInt8(ascii: "/")
    private static let star = UInt8(ascii: "*")

    /// Scheme and authority, compared as they stand.
    private let prefix: [UInt8]
    private let segments: [Segment]

    init(_ text: String) throws(Mistake) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.longest else { throw Mistake(reason: "is longer than \(Self.longest) bytes") }
        guard let path = Self.pathStart(bytes) else { throw Mistake(reason: "is no URI: it has no scheme") }
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Mistake(reason: "a URI has printable ASCII characters only")
        }
        prefix = Array(bytes[..<path])
        if prefix.contains(Self.star) { throw Mistake(reason: "`*` may stand in the path only") }
        var segments: [Segment] = []
        for segment in bytes[path...].split(separator: Self.slash, omittingEmptySubsequences: false) {
            segments.append(try Self.segment(Array(segment)))
        }
        self.segments = segments
    }

    func matches(_ uri: String) -> Bool {
        let bytes = Array(uri.utf8)
        guard bytes.count <= Self.longest, bytes.starts(with: prefix) else { return false }
        let rest = bytes[prefix.count...].split(separator: Self.slash, omittingEmptySubsequences: false)
        return matches(rest)
    }

    /// The usual two-pointer match: on a mismatch only the latest `**` may take one segment more.
    private func matches(_ words: [ArraySlice<UInt8>]) -> Bool {
        var word = 0
        var segment = 0
        var retry: (segment: Int, word: Int)?
        while word < words.count {
            if segment < segments.count, segments[segment] == .anySegments {
                guard Self.isPlain(words[word]) else { return false }
                retry = (segment + 1, word + 1)
                (segment, word) = (segment + 1, word + 1)
            } else if segment < segments.count, Self.matches(segments[segment], words[word]) {
                (segment, word) = (segment + 1, word + 1)
            } else if let (start, next) = retry, next < words.count, Self.isPlain(words[next]) {
                retry = (start, next + 1)
                (segment, word) = (start, next + 1)
            } else {
                return false
            }
        }
        return segment == segments.count
    }

    private static func matches(_ segment: Segment, _ word: ArraySlice<UInt8>) -> Bool {
        switch segment {
        case .literal(let bytes): word.elementsEqual(bytes)
        case .anySegments: isPlain(word)
        case .parts(let parts): isPlain(word) && matches(parts, word)
        }
    }

    /// Each `*` takes as little as possible, at least one byte; the last part must end the word.
    private static func matches(_ parts: [[UInt8]], _ word: ArraySlice<UInt8>) -> Bool {
        guard let first = parts.first, let last = parts.last, word.starts(with: first) else { return false }
        var rest = word.dropFirst(first.count)
        for part in parts.dropFirst().dropLast() {
            guard let end = end(of: part, in: rest.dropFirst()) else { return false }
            rest = rest[end...]
        }
        return rest.count > last.count && rest.suffix(last.count).elementsEqual(last)
    }

    private static func end(of part: [UInt8], in word: ArraySlice<UInt8>) -> Int? {
        var start = word.startIndex
        while start + part.count <= word.endIndex {
            if word[start...].starts(with: part) { return start + part.count }
            start += 1
        }
        return nil
    }

    /// What a wildcard may stand for: something, without query and fragment, that is no step up or nowhere.
    private static func isPlain(_ word: ArraySlice<UInt8>) -> Bool {
        guard !word.isEmpty, !word.elementsEqual([UInt8(ascii: ".")]) else { return false }
        if word.elementsEqual([UInt8(ascii: "."), UInt8(ascii: ".")]) { return false }
        return !word.contains { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }
    }

    private static func segment(_ bytes: [UInt8]) throws(Mistake) -> Segment {
        if bytes == [star, star] { return .anySegments }
        guard bytes.contains(star) else { return .literal(bytes) }
        let parts = bytes.split(separator: star, omittingEmptySubsequences: false).map { Array($0) }
        if parts.dropFirst().dropLast().contains([]) {
            throw Mistake(reason: "`**` must be a whole path segment")
        }
        return .parts(parts)
    }

    /// Behind `scheme://authority/`, or behind `scheme:` where no authority follows.
    private static func pathStart(_ bytes: [UInt8]) -> Int? {
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { return nil }
        let afterScheme = colon + 1
        guard bytes[afterScheme...].starts(with: [slash, slash]) else { return afterScheme }
        let path = bytes[(afterScheme + 2)...].firstIndex(of: slash)
        return path.map { $0 + 1 } ?? bytes.count
    }
}
