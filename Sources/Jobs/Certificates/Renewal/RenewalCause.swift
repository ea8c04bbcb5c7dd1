extension RenewalStateMachine {
    /// Why a certificate is renewed when it is.
    package enum Cause: String, Sendable, CaseIterable {
        /// Two thirds of its life, less its jitter.
        case age
        /// The plane wants it replaced before.
        case order
        /// Asked for, or it is not what the configuration asks for.
        case demand
        /// The last request came to nothing.
        case retry
        /// The server has not decided about the last request.
        case pending
        /// Certificates came faster than they are needed.
        case limit
    }
}
