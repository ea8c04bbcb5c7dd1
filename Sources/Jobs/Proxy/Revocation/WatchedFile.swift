import IO

/// Why what a file says now is not used.
struct FileRefusal: Error {
    let reason: String
    /// It may be right from this second on, since 1970.
    var retryAt: Int64?
}

/// A file that is looked at again and again. What it said last without a mistake counts, until it says something else
/// without a mistake.
struct WatchedFile<Content: Sendable>: Sendable {
    enum Finding {
        case unchanged
        case replaced
        /// What counted before counts on; told once for each change of the file.
        case unusable(String)
    }

    let path: String
    private(set) var content: Content?
    /// Why the file as it is now does not count.
    private(set) var flaw: String?
    private var judged: FileMark?
    /// Seen once with a mistake: it may be about to be written, so it is looked at twice.
    private var doubted: FileMark?
    private var wasMissing = false
    private var retryAt: Int64?

    init(_ path: String) { self.path = path }

    /// `isForced`: what is wrong with it is told at once, and once more.
    mutating func look(
        isForced: Bool, at now: Int64, _ read: ([UInt8], Content?) throws -> Content, limit: Int
    ) -> Finding {
        if (isForced && flaw != nil) || retryAt.map({ now >= $0 }) == true { (judged, retryAt) = (nil, nil) }
        guard let mark = FileMark(of: path) else { return missing(isForced: isForced) }
        wasMissing = false
        if mark == judged { return .unchanged }
        do {
            let new = try read(try Files.read(path, limit: limit), content)
            (content, flaw, judged, doubted) = (new, nil, mark, nil)
            return .replaced
        } catch {
            guard isForced || doubted == mark else {
                doubted = mark
                return .unchanged
            }
            (judged, doubted) = (mark, nil)
            let refusal = error as? FileRefusal
            retryAt = refusal?.retryAt
            return unusable(refusal?.reason ?? "\(error)")
        }
    }

    private mutating func missing(isForced: Bool) -> Finding {
        defer { wasMissing = true }
        guard isForced || (wasMissing && judged != nil) else { return .unchanged }
        (judged, doubted) = (nil, nil)
        return unusable("\(path) is not there")
    }

    private mutating func unusable(_ reason: String) -> Finding {
        flaw = reason
        return .unusable(reason)
    }
}
