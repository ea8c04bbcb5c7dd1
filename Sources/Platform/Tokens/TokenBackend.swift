import OpenSSL

/// What a token says no with.
enum TokenError: Error {
    /// It cannot be used, for whatever is asked.
    case fault(TokenStateMachine.Fault, String)
    /// It does not do this.
    case refused(String)

    var answer: TokenAnswer {
        switch self {
        case .fault(let fault, let text): .failed(fault, text)
        case .refused(let text): .refused(text)
        }
    }
}

/// One open token, in the process that has it.
protocol TokenBackend {
    func sign(key: [UInt8], _ operation: TokenOperation) throws(TokenError) -> [UInt8]
    /// A pair of which only the public half can be read.
    func generate(_ kind: KeyKind, name: [UInt8], label: String) throws(TokenError) -> (
        key: [UInt8], publicKey: [UInt8]
    )
    /// No error if there is no such key.
    func destroy(key: [UInt8]) throws(TokenError)
}
