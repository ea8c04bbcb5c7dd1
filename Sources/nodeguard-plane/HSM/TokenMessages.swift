import FoundationEssentials
import HTTPTypes

/// What the plane asks of the process that has its token open, and hears from it: one message each, in turn. No PIN and
/// no key is ever in one, nor the text of a backup's key: what is to be sealed is sealed by the plane before.
enum TokenRequest: Codable, Equatable {
    /// First, and once. `record`: the path of `RefusedPIN`.
    case open(address: String, record: String)
    /// P-256.
    case makeSigningKey(id: Data, label: String)
    /// AES-256.
    case makeWrappingKey(id: Data, label: String)
    /// ECDSA over a digest.
    case sign(id: Data, digest: Data)
    /// AES-256-GCM.
    case seal(id: Data, nonce: Data, context: Data, text: Data)
    case unseal(id: Data, nonce: Data, context: Data, text: Data)
    /// Which of these keys the token does not have.
    case missing(ids: [Data])
    /// No error if it is not there.
    case destroy(id: Data)
}

enum TokenAnswer: Codable, Equatable {
    case done
    /// The public point (X9.62), r ‖ s of a signature, or a text.
    case bytes(Data)
    case ids([Data])
    /// `unseal`: not what this key has sealed.
    case notAuthentic
    /// The token cannot be used, whatever is asked: `KeyTokenStateMachine.Fault`.
    case failed(fault: String, text: String)
    /// It is well, and does not do this.
    case refused(text: String)
}

/// Why a token did not do what it was asked, in the process that has it open.
enum TokenError: Error {
    case fault(KeyTokenStateMachine.Fault, String)
    case refused(String)

    var answer: TokenAnswer {
        switch self {
        case .fault(let fault, let text): .failed(fault: fault.rawValue, text: text)
        case .refused(let text): .refused(text: text)
        }
    }
}

/// Why the plane has not what it needs of its token.
struct TokenProblem: Error, CustomStringConvertible, Equatable {
    /// nil: the token is well.
    let fault: KeyTokenStateMachine.Fault?
    let text: String

    var description: String {
        guard let fault else { return text }
        let remedy =
            switch fault {
            case .unreachable: "is it plugged in, its service running, the module's configuration readable here?"
            case .silent: "it is tried again after a while"
            case .pinRefused: "write the right PIN into its file: the one that is there is not tried again"
            case .pinLocked: "unlock the token with its own tools, then remove hsm.pin-refused from the state folder"
            }
        return "the token that holds the plane's keys cannot be used (\(fault.rawValue)): \(text): \(remedy)"
    }

    /// As callers hear it, who need not know where the token is.
    var refusal: Refusal {
        let detail =
            fault.map { "the token that holds the plane's keys cannot be used now (\($0.rawValue)); try again" }
            ?? "the token that holds the plane's keys does not do this"
        return Refusal(
            status: .serviceUnavailable, reason: fault == nil ? "token-refuses" : "keys-unavailable", detail: detail,
            retryAfter: 5)
    }
}
