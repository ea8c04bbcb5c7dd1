import Reports
import Synchronization

/// The job's metrics.
final class CertificateFigures: Sendable {
    private let expiries = Mutex<[String: Int64]>([:])
    private let metrics: Metrics

    init(_ metrics: Metrics) {
        self.metrics = metrics
        metrics.gauge(
            "nodeguard_certificate_expiry_timestamp_seconds", "When the certificate in service expires."
        ) { [weak self] in
            let expiries = self?.expiries.withLock { $0 } ?? [:]
            return expiries.sorted { $0.key < $1.key }.map { ([("role", $0.key)], Double($0.value)) }
        }
    }

    func prepare(role: String) {
        _ = renewals(role)
        _ = failures(role)
    }

    func served(role: String, until notAfter: Int64) { expiries.withLock { $0[role] = notAfter } }
    func issued(role: String) { renewals(role).add() }
    func failed(role: String) { failures(role).add() }

    private func renewals(_ role: String) -> Counter {
        metrics.counter(
            "nodeguard_certificate_renewals", "Certificates that were issued and put into service.",
            labels: [("role", role)])
    }

    private func failures(_ role: String) -> Counter {
        metrics.counter(
            "nodeguard_certificate_failures", "Requests for a certificate that came to nothing.",
            labels: [("role", role)])
    }
}
