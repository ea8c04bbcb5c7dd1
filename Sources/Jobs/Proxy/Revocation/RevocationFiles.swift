import IO
import OpenSSL
import Reports
import Synchronization

/// The files of revocation lists and deny lists that listeners name, each looked at once for all of them.
///
/// Safe from any thread; a look blocks while it reads, and a second one waits for it.
final class RevocationFiles: Sendable {
    enum Kind: String, Sendable { case revocationLists = "crl", denyList = "deny-list" }

    /// What a look has found out about one file.
    struct Finding: Sendable {
        let path: String
        let kind: Kind
        /// nil: its new content counts.
        let refusal: String?
    }

    private struct Contents {
        var lists: [WatchedFile<[RevocationList]>]
        var denied: [WatchedFile<DenyList>]
    }

    private let contents: Mutex<Contents>
    let isEmpty: Bool

    init(_ listeners: [ListenerConfiguration]) {
        let lists = Set(listeners.flatMap { $0.revocation?.files ?? [] }).sorted()
        let denied = Set(listeners.flatMap(\.denyLists)).sorted()
        contents = Mutex(
            Contents(lists: lists.map { WatchedFile($0) }, denied: denied.map { WatchedFile($0) }))
        isEmpty = lists.isEmpty && denied.isEmpty
    }

    /// `issuers`: the authorities that are trusted where the file is used.
    func look(isForced: Bool = false, issuers: (String) -> [Certificate]) -> [Finding] {
        let now = Timestamp.now.seconds
        return contents.withLock { contents in
            var findings: [Finding] = []
            for index in contents.lists.indices {
                let path = contents.lists[index].path
                let found = contents.lists[index].look(
                    isForced: isForced, at: now, { try Self.successor($1, $0, issuers(path), at: now) },
                    limit: RevocationList.sizeLimit)
                if let finding = Finding(path, .revocationLists, found) { findings.append(finding) }
            }
            for index in contents.denied.indices {
                let path = contents.denied[index].path
                let found = contents.denied[index].look(
                    isForced: isForced, at: now, { text, _ in try DenyList(text: text, path: path) },
                    limit: DenyList.sizeLimit)
                if let finding = Finding(path, .denyList, found) { findings.append(finding) }
            }
            return findings
        }
    }

    /// The lists of these files; nil while one of them was never read.
    func lists(of paths: [String]) -> [RevocationList]? {
        contents.withLock { contents in
            let files = contents.lists.filter { paths.contains($0.path) }
            return files.contains { $0.content == nil } ? nil : files.flatMap { $0.content ?? [] }
        }
    }

    /// In the order of `paths`; nil while one of them was never read.
    func denyLists(of paths: [String]) -> [DenyList]? {
        contents.withLock { contents in
            let found = paths.compactMap { path in contents.denied.first { $0.path == path }?.content }
            return found.count == paths.count ? found : nil
        }
    }

    /// Why files as they are now do not count, by path.
    var flaws: [(path: String, kind: Kind, reason: String)] {
        contents.withLock { contents in
            contents.lists.compactMap { file in file.flaw.map { (file.path, .revocationLists, $0) } }
                + contents.denied.compactMap { file in file.flaw.map { (file.path, .denyList, $0) } }
        }
    }

    /// Refuses a step back: whoever can bring an old list back would bring revoked certificates back.
    private static func successor(
        _ before: [RevocationList]?, _ bytes: [UInt8], _ issuers: [Certificate], at now: Int64
    ) throws -> [RevocationList] {
        let new = try RevocationList.parse(bytes, issuers: issuers)
        for list in new {
            guard let known = before?.first(where: { $0.origin == list.origin }) else { continue }
            if list.isOlder(than: known) {
                throw FileRefusal(reason: "\(list) is older than number \(known.number ?? "?"), which is in use")
            }
            if list.thisUpdate > now, known.fingerprint != list.fingerprint {
                let begin = Timestamp(seconds: list.thisUpdate)
                throw FileRefusal(reason: "\(list) is not valid before \(begin)", retryAt: list.thisUpdate)
            }
        }
        return new
    }
}

extension RevocationFiles.Finding {
    fileprivate init?<Content>(
        _ path: String, _ kind: RevocationFiles.Kind, _ finding: WatchedFile<Content>.Finding
    ) {
        switch finding {
        case .unchanged: return nil
        case .replaced: self.init(path: path, kind: kind, refusal: nil)
        case .unusable(let reason): self.init(path: path, kind: kind, refusal: reason)
        }
    }
}
