import CPKCS11
import Crypto
import FoundationEssentials
import Glibc

/// On the disk: which PIN the token has refused, so that neither a restart nor the next verb tries it once more. Where
/// the PIN lies says nothing of it: systemd mounts credentials anew at each start.
///
/// It has a salt, HMAC-SHA256 of salt and token under the PIN, and how that PIN fared. It is there before the token
/// hears the PIN and until it has taken it, so that no crash and no full disk makes one try of it more. Of use in the
/// process alone that has the token open: the plane never reads a PIN.
struct RefusedPIN {
    let path: String
    /// Its address; what one token refused says nothing of another.
    let token: String

    static func file(in directory: String) -> String { directory + "/hsm.pin-refused" }

    /// Tries of a PIN on which no answer came: many tokens lock at the third that is wrong.
    static let unansweredLimit = 2

    private enum Fate: Equatable {
        case tried(Int)
        case refused
    }

    private static let refusals = [
        CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED, CKR_PIN_LOCKED,
        CKR_USER_PIN_NOT_INITIALIZED,
    ]

    /// Performs `logIn`, or throws because it would be the second time in vain. `isCountLow`: the token says that
    /// somebody gave it a wrong PIN (CKF_USER_PIN_COUNT_LOW).
    func guarding(
        _ pin: UnsafeRawBufferPointer, isCountLow: Bool, _ logIn: () -> CK_RV
    ) throws(TokenError) -> CK_RV {
        // Another process may be trying just now; whoever waits for too long is ended from outside.
        let folder = open(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), O_RDONLY | O_CLOEXEC)
        defer { if folder >= 0 { close(folder) } }
        guard folder >= 0, flock(folder, LOCK_EX) == 0 else { throw unwritable("the folder cannot be locked") }
        let key = SymmetricKey(data: pin)
        let unanswered = try tries(of: key)
        guard unanswered == 0 || (!isCountLow && unanswered < Self.unansweredLimit) else {
            throw .fault(.pinRefused, "this PIN was tried before, and the token did not answer; if it is right, \(way)")
        }
        try write(.tried(unanswered + 1), key)
        let state = logIn()
        if Self.refusals.contains(state) {
            try write(.refused, key)
        } else {
            // It was taken, or the token said nothing of it.
            StateFile.remove(path)
        }
        return state
    }

    /// That the token would not survive one more mistake: an operator has the next word.
    func bar(_ pin: UnsafeRawBufferPointer) throws(TokenError) { try write(.refused, SymmetricKey(data: pin)) }

    var way: String { "remove \(path)" }

    /// Without an answer; throws where it was refused. What cannot be read may have said so.
    private func tries(of key: SymmetricKey) throws(TokenError) -> Int {
        guard StateFile.exists(path) else { return 0 }
        let words = ((try? StateFile.read(path)) ?? []).split { $0 == 0x20 || $0 == 0x0A }
            .map { String(decoding: $0, as: UTF8.self) }
        guard words.count >= 3, let salt = Hex.decode(words[0]), let digest = Hex.decode(words[1]) else {
            throw .fault(.pinRefused, "\(path) cannot be read, which may say that the PIN was refused; if not, \(way)")
        }
        let isSame = HMAC<SHA256>.isValidAuthenticationCode(digest, authenticating: text(salt), using: key)
        guard isSame else { return 0 }
        if words[2] == "tried", words.count == 4, let count = Int(words[3]), count > 0 { return count }
        throw .fault(.pinRefused, "it has refused this PIN before; write another one, or, if it is right now, \(way)")
    }

    private func write(_ fate: Fate, _ key: SymmetricKey) throws(TokenError) {
        let salt = RandomBytes.make(32)
        let digest = HMAC<SHA256>.authenticationCode(for: text(salt), using: key)
        let word = if case .tried(let count) = fate { "tried \(count)" } else { "refused" }
        do {
            try StateFile.write(Array("\(Hex.lower(salt)) \(Hex.lower(digest)) \(word)\n".utf8), to: path)
        } catch {
            throw unwritable("\(error)")
        }
    }

    private func text(_ salt: [UInt8]) -> [UInt8] { salt + Array(token.utf8) }

    private func unwritable(_ why: String) -> TokenError {
        .fault(.unreachable, "its PIN is not tried, because \(path) could not be written then: \(why)")
    }
}
