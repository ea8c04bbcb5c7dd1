import Glibc
import IO
import OpenSSL
import PlaneAPI
import PlaneClient

/// The file with the join bundle: read when it changes, removed when its token is spent. If it cannot be removed, a
/// record beside it says that it is spent.
struct JoinSource {
    enum Finding: Sendable, Equatable {
        case absent
        /// Its token was used; the file could not be removed.
        case spent
        case unreadable(String)
        case offer(JoinOffer)
    }

    private static let recordLimit = 64 << 10

    let path: String
    private let recordPath: String

    init(path: String, stateDirectory: String) {
        self.path = path
        recordPath = stateDirectory + "/join/spent"
    }

    /// `joinedWith`: the token's digest of the identity that is in use.
    func look(joinedWith: String?) -> Finding {
        let offer: JoinOffer
        do throws(IOError) {
            // What it is like; it is read where a secret belongs.
            _ = try Files.openForReading(path)
            guard try Files.size(path) <= Int64(JoinBundle.sizeLimit) else {
                return .unreadable(JoinBundle.Flaw.tooLarge.description)
            }
        } catch {
            return error.code == ENOENT || error.code == ENOTDIR ? .absent : .unreadable(error.description)
        }
        do {
            offer = try JoinOffer(reading: try SecretReference.contents(of: path))
        } catch { return .unreadable("\(error)") }
        let digest = Self.digest(offer)
        if digest == joinedWith || spentDigests.contains(digest) { return .spent }
        return .offer(offer)
    }

    /// The token itself is written nowhere.
    static func digest(_ offer: JoinOffer) -> String { Hexadecimal.text(offer.digest) }

    /// Removes the file, or records the token as spent; says why it could not be removed.
    func consume(_ digest: String) -> String? {
        switch look(joinedWith: nil) {
        case .spent: break
        case .offer(let present) where Self.digest(present) == digest: break
        // Gone, or another one has taken its place.
        case .absent, .offer, .unreadable: return nil
        }
        do throws(IOError) {
            try Files.remove(path)
            try Files.synchronizeDirectory(Files.folder(of: path))
            return nil
        } catch {
            if error.code == ENOENT { return nil }
            let reason = error.description
            return record(digest).map { "\(reason); \($0)" } ?? reason
        }
    }

    private var spentDigests: [String] {
        let bytes = (try? Files.read(recordPath, limit: Self.recordLimit)) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private func record(_ digest: String) -> String? {
        let digests = (spentDigests.filter { $0 != digest } + [digest]).suffix(500)
        do throws(IOError) {
            try Files.makeDirectory(Files.folder(of: recordPath), mode: 0o700)
            try Files.write(Array((digests.joined(separator: "\n") + "\n").utf8), to: recordPath, mode: 0o600)
            return nil
        } catch {
            return error.description
        }
    }
}
