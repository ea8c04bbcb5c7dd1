package enum HandshakeOutcome: Equatable, Sendable {
    case finished, wantsInput, wantsOutput
    /// The handshake is over, and the peer's certificate is *not* accepted: only for a session that was made so that
    /// the peer can be told. Nothing that it says may be acted upon.
    case finishedUnverified(TLSFailure)
    case failed(TLSFailure)
}

package enum TLSReadOutcome: Equatable, Sendable {
    case bytes(Int), wantsInput, wantsOutput
    /// The peer's close_notify: a clean end.
    case ended
    case failed(TLSFailure)
}

package enum TLSWriteOutcome: Equatable, Sendable {
    case bytes(Int), wantsInput
    /// `cipherOut` must be emptied first; nothing was taken.
    case wantsOutput
    case failed(TLSFailure)
}
