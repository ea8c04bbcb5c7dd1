extension RenewalStateMachine {
    package enum Phase: String, Sendable, CaseIterable {
        case unenrolled, bootstrapping, enrolling, active, renewing, expired, rejected
        /// The server wants the same request again, later.
        case pending
        /// Certificates came faster than they are needed: no more for a while.
        case limited
        /// The identity has expired, and the recovery key is to give another.
        case recovering
        /// The plane gives this node no identity before somebody has seen to it.
        case locked
    }

    package enum Action: Sendable, Equatable {
        /// Nothing can be done before `credentialsArrived` (a join bundle, the node identity).
        case waitForCredentials
        case wait(until: Double)
        /// Fetch the plane's authorities and compare their root with the pin.
        case bootstrap
        case enroll
        case renew
        /// Prove the expired identity by the recovery key.
        case recover
    }
}
