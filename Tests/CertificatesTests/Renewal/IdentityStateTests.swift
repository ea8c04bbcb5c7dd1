import Testing

@testable import Certificates

@Suite struct `The state of the node identity` {
    @Test func `has a word for each phase`() {
        let words = RenewalStateMachine.Phase.allCases.map { IdentityState($0, failure: nil).rawValue }
        #expect(
            words == [
                "UNENROLLED", "BOOTSTRAP", "ENROLLING", "ACTIVE", "RENEWING", "EXPIRED", "REJECTED", "PENDING",
                "DEGRADED", "EXPIRED", "LOCKED",
            ])
        #expect(Set(words) == Set(IdentityState.allCases.map(\.rawValue)))
    }

    @Test func `is degraded while it counts and the plane is away, and never hides that it does not count`() {
        for failure in RenewalStateMachine.Failure.allCases {
            let isDegraded = [.unreachable, .failing, .throttled, .busy, .untrusted, .skewed].contains(failure)
            for phase: RenewalStateMachine.Phase in [.active, .renewing] {
                #expect((IdentityState(phase, failure: failure) == .degraded) == isDegraded, "\(failure)")
            }
            #expect(IdentityState(.expired, failure: failure) == .expired)
            #expect(IdentityState(.rejected, failure: failure) == .rejected)
            #expect(IdentityState(.locked, failure: failure) == .locked)
            #expect(IdentityState(.unenrolled, failure: failure) == .unenrolled)
        }
    }
}
