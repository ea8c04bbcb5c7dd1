import IO
import OpenSSL
import PlaneClient
import Tokens

/// One certificate that the plane issues: its machine, its place on the disk, and what is in service.
///
/// Lives in the job's actor.
final class ManagedCertificate {
    let role: String
    let store: CertificateStore
    let key: KeyRule
    /// Wakes the loop that keeps this certificate.
    let alarm: Alarm
    var machine: RenewalStateMachine
    var stored: StoredCertificate?
    /// The next one is ordered by a person, here or at the plane, who does not wait for others' windows.
    var isOrdered = false
    /// Of the server, when the request under way was made.
    var wishes: RequestWishes?
    /// Since the last certificate.
    var lastProblem: CertificateProblem?

    init(
        role: String, key: KeyRule, keys: KeyTokens, stateDirectory: String, retryBase: Double, limits: IssuanceLimits
    ) {
        self.role = role
        self.key = key
        store = CertificateStore(role: role, stateDirectory: stateDirectory, keys: keys)
        alarm = Alarm(label: "certificate.\(role)")
        machine = RenewalStateMachine(
            role == RoleConfiguration.node ? .node : .role, base: retryBase,
            limits: limits)
    }

    /// At once, whatever the limits say.
    func demandRenewal() {
        isOrdered = true
        machine.renewalDemanded(byOperator: true)
    }

    var isNode: Bool { role == RoleConfiguration.node }

    func isValid(at now: Double) -> Bool {
        stored.map { Double($0.identity.leaf.notAfter) > now } ?? false
    }

    func row(at now: Double) -> CertificateReports.Row {
        CertificateReports.Row(
            role: role, phase: machine.phase(at: now), leaf: stored?.identity.leaf, generation: stored?.generation ?? 0,
            nextRenewal: machine.nextRenewal(at: now), renewalCause: machine.renewalCause(at: now),
            lastProblem: lastProblem, isFromFiles: false,
            keyPlace: stored.map(\.identity.key.place) ?? key.store?.description ?? PrivateKey.placeOfFiles,
            recovers: !isValid(at: now) && machine.mayRecover)
    }
}
