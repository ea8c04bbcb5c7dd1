/// How the node stands with its plane, as the status document says it in one word.
enum IdentityState: String, CaseIterable {
    case unenrolled = "UNENROLLED"
    /// The plane's root is compared with the pin.
    case bootstrap = "BOOTSTRAP"
    case enrolling = "ENROLLING"
    case pending = "PENDING"
    case active = "ACTIVE"
    case renewing = "RENEWING"
    /// The identity counts, and the plane is out of reach or gives no certificates.
    case degraded = "DEGRADED"
    case expired = "EXPIRED"
    /// By a plane that was verified.
    case rejected = "REJECTED"
    /// The plane gives this node nothing any more: it was revoked, removed or replaced.
    case locked = "LOCKED"

    /// `failure`: of the last attempt, if it came to nothing.
    init(_ phase: RenewalStateMachine.Phase, failure: RenewalStateMachine.Failure?) {
        self =
            switch phase {
            case .unenrolled: .unenrolled
            case .bootstrapping: .bootstrap
            case .enrolling: .enrolling
            case .pending: .pending
            case .active, .renewing: failure?.isAboutPlane == true ? .degraded : phase == .active ? .active : .renewing
            case .limited: .degraded
            case .expired, .recovering: .expired
            case .rejected: .rejected
            case .locked: .locked
            }
    }
}
