import Glibc
import IO
import OpenSSL
import PlaneAPI

/// The file with the join bundle: read when it changes, removed when its token is spent. If it cannot be removed, a
/// record beside it says that it is spent.
struct JoinSource {
    enum Finding: Sendable, Equatable {
        case absent
        /// Its token was used; the file could not be removed.
        case spent
        case unreadable(String)
        case bundle(JoinBundle)
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
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.read(path, limit: JoinBundle.sizeLimit)
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return .absent }
            if error.code == EFBIG { return .unreadable(JoinBundle.Flaw.tooLarge.description) }
            return .unreadable(error.description)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return .unreadable(JoinBundle.Flaw.notABundle.description)
        }
        let bundle: JoinBundle
        do throws(JoinBundle.Flaw) {
            bundle = try JoinBundle(text: text)
        } catch {
            return .unreadable(error.description)
        }
        let digest = Self.digest(bundle)
        if digest == joinedWith || spentDigests.contains(digest) { return .spent }
        return .bundle(bundle)
    }

    /// The token itself is written nowhere; it has enough entropy for its digest to tell nothing.
    static func digest(_ bundle: JoinBundle) -> String { Hexadecimal.text(Digest.sha256(Array(bundle.token.utf8))) }

    /// Removes the file, or records the token as spent; says why it could not be removed.
    func consume(_ digest: String) -> String? {
        switch look(joinedWith: nil) {
        case .spent: break
        case .bundle(let present) where Self.digest(present) == digest: break
        // Gone, or another one has taken its place.
        case .absent, .bundle, .unreadable: return nil
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
