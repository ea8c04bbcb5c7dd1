import Certificates
import Management
import PlaneAPI
import Proxy

/// Puts a desired state into effect as a reload does: all of it is tried first, and a mistake anywhere changes nothing;
/// then each listener changes in one step.
struct DesiredApplication: Sendable {
    /// Others may publish while a change is tested: it is tested again.
    private static let attempts = 16

    let configuration: NodeConfiguration
    let proxy: DatabaseProxy
    let certificates: CertificateRenewer

    func apply(_ content: DesiredContent) async -> Result<[ObservedState.Result], DesiredRefusal> {
        do throws(DesiredRefusal) {
            let overlay = try DesiredOverlay(content, on: configuration)
            try adopt(overlay)
            await certificates.adopt(names: overlay.names)
            return .success(overlay.results)
        } catch { return .failure(error) }
    }

    private func adopt(_ overlay: DesiredOverlay) throws(DesiredRefusal) {
        var change = ProxyChange()
        change.narrowings = overlay.narrowings
        change.denied = overlay.denied
        for _ in 0..<Self.attempts {
            let tested: TestedChange
            do throws(ProxyError) { tested = try proxy.test(change) } catch {
                throw DesiredRefusal(.notApplicable, error.description)
            }
            if proxy.adopt(tested) { return }
        }
        throw DesiredRefusal(.notApplicable, "certificates were published \(Self.attempts) times meanwhile")
    }

    func renew(role: String) async -> RenewalRefusal? {
        switch await certificates.renew(role: role) {
        case .begun: nil
        case .unknownRole: .unknownRole
        case .refused(let reason): .refused(reason)
        }
    }
}
