import OpenSSL

/// What a handshake has shown of a client. Only a verified one has facts, and without facts there is nothing that a
/// policy could judge.
enum HandshakeVerdict {
    /// There was none, or it is not over.
    case none
    case verified(TLSFacts)
    /// It was finished so that the client can be told why it may not come in.
    case refused(TLSFailure)

    var failure: TLSFailure? { if case .refused(let failure) = self { failure } else { nil } }
}
