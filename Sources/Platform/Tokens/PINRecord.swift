import CPKCS11
import Glibc
import IO
import OpenSSL

/// On the disk: which PIN the token has refused, so that no restart tries it again. Where the PIN lies says nothing of
/// it: systemd mounts credentials anew at each start.
///
/// It has a salt, HMAC-SHA256 of salt and token under the PIN, and how that PIN fared. It is there before the token
/// hears the PIN and until it has taken it, so that no crash and no full disk makes one try of it more. Of use in the
/// process alone that has the token open: the daemon never reads a PIN.
struct PINRecord {
    let path: String
    /// What one token refused says nothing of another.
    let token: String

    /// In the state folder.
    static func file(of store: KeyStore, in stateDirectory: String) -> String {
        let name = Hex.text(Array(Digest.sha256(Array(store.description.utf8)).prefix(8)))
        return "\(stateDirectory)/tokens/\(name).refused"
    }

    /// Tries of a PIN on which no answer came: many tokens lock at the third that is wrong.
    static let unansweredLimit = 2

    private static let refusals = [
        CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED, CKR_PIN_LOCKED,
        CKR_USER_PIN_NOT_INITIALIZED,
    ]

    private enum Fate {
        case tried(Int)
        case refused
    }

    /// Performs `logIn`, or throws because it would be the second time in vain. `isCountLow`: the token says that
    /// somebody gave it a wrong PIN (CKF_USER_PIN_COUNT_LOW).
    func guarding(
        _ pin: SecretReference, isCountLow: Bool, _ logIn: () -> CK_RV
    ) throws(TokenError) -> CK_RV {
        let folder = try lockedFolder()
        defer { withExtendedLifetime(folder) {} }
        let unanswered = try tries(of: pin)
        guard unanswered == 0 || (!isCountLow && unanswered < Self.unansweredLimit) else {
            throw .fault(.pinRefused, "this PIN was tried before, and the token did not answer; if it is right, \(way)")
        }
        try write(.tried(unanswered + 1), pin)
        let state = logIn()
        if Self.refusals.contains(state) {
            try write(.refused, pin)
        } else {
            // It was taken, or the token said nothing of it.
            try? Files.remove(path)
        }
        return state
    }

    /// That the token would not survive one more mistake: an operator has the next word.
    func bar(_ pin: SecretReference) throws(TokenError) {
        let folder = try lockedFolder()
        defer { withExtendedLifetime(folder) {} }
        try write(.refused, pin)
    }

    private var way: String { "remove \(path)" }

    /// Another process may be trying just now; whoever waits for too long is ended from outside.
    private func lockedFolder() throws(TokenError) -> Descriptor {
        let folder = Files.folder(of: path)
        do throws(IOError) {
            if !Files.isDirectory(folder) { try Files.makeDirectory(folder, mode: 0o700) }
            let descriptor = try Files.openForReading(folder)
            guard flock(descriptor.rawValue, LOCK_EX) == 0 else { throw IOError("lock \(folder)") }
            return descriptor
        } catch {
            throw unwritable(error)
        }
    }

    /// Without an answer; throws where it was refused. What cannot be read may have said so.
    private func tries(of pin: SecretReference) throws(TokenError) -> Int {
        guard Files.exists(path) else { return 0 }
        let words = ((try? Files.read(path, limit: 1024)) ?? []).split { $0 == 0x20 || $0 == 0x0A }
            .map { String(decoding: $0, as: UTF8.self) }
        guard words.count >= 3 else {
            throw .fault(.pinRefused, "\(path) cannot be read, which may say that the PIN was refused; if not, \(way)")
        }
        guard MessageAuthentication.equal(Array(words[1].utf8), Array(digest(of: pin, words[0]).utf8)) else { return 0 }
        if words[2] == "tried", words.count == 4, let count = Int(words[3]), count > 0 { return count }
        throw .fault(
            .pinRefused, "the token has refused this PIN before; write another one, or, if it is right now, \(way)")
    }

    private func write(_ fate: Fate, _ pin: SecretReference) throws(TokenError) {
        let word = if case .tried(let count) = fate { "tried \(count)" } else { "refused" }
        let salt = Hex.text(secureRandom(32))
        do throws(IOError) {
            try Files.write(Array("\(salt) \(digest(of: pin, salt)) \(word)\n".utf8), to: path, mode: 0o600)
        } catch {
            throw unwritable(error)
        }
    }

    private func digest(of pin: SecretReference, _ salt: String) -> String {
        pin.withSecret { Hex.text(MessageAuthentication.hmacSHA256(key: $0, Array("\(salt) \(token)".utf8))) }
    }

    private func unwritable(_ error: IOError) -> TokenError {
        .fault(.unreachable, "the token's PIN is not tried, because \(path) could not be written then: \(error)")
    }
}
