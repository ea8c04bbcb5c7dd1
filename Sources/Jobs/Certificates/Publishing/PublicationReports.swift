import OpenSSL
import Reports
import Synchronization

/// How each role's publication stands, for the status document. One writes, anybody reads.
package final class PublicationStates: Sendable {
    private let states = Mutex<[String: JSONValue]>([:])

    package init() {}

    package subscript(role: String) -> JSONValue? { states.withLock { $0[role] } }

    /// nil: the role is not published any more.
    func set(_ state: JSONValue?, of role: String) { states.withLock { $0[role] = state } }
}

/// What is said of publications: one place for their codes, events and words.
final class PublicationReports: Sendable {
    private static let aboutFiles = ["CERTIFICATE_NOT_PUBLISHED", "CERTIFICATE_POSTPONED", "CERTIFICATE_WITHHELD"]
    private static let aboutReader = ["CERTIFICATE_NOT_SERVED", "CERTIFICATE_NOT_CHECKED"]

    private let board: HealthBoard
    private let audit: AuditReporter
    private let metrics: Metrics

    init(_ board: HealthBoard, _ audit: AuditReporter, _ metrics: Metrics) {
        (self.board, self.audit, self.metrics) = (board, audit, metrics)
    }

    func prepare(_ role: String) { for outcome in ["success", "failure"] { _ = counter(role, outcome) } }

    private func counter(_ role: String, _ outcome: String) -> Counter {
        metrics.counter(
            "nodeguard_certificate_publications", "Certificates that were brought into files of others, or not.",
            labels: [("role", role), ("outcome", outcome)])
    }

    // MARK: what happened

    func recorded(_ record: PublicationRecord, _ configuration: PublicationConfiguration) {
        let role = record.role
        switch record.outcome {
        case .published:
            // What is served is the check's to say: told again and again, a node would seem well in between.
            clear(Self.aboutFiles, role)
            guard record.hasChanged else { return }
            counter(role, "success").add()
            tell(.success, role, configuration, ["serial": .string(record.serial ?? "")])
        case .failed:
            let reason = record.reason ?? "the reason was not written down"
            failed(role, configuration, serial: record.serial, reason)
        case .withheld:
            let reason = record.reason ?? "it is withheld"
            raise(
                "CERTIFICATE_WITHHELD", .warn, role, "\(configuration.directory): \(reason)",
                "nodeguard publish --role \(role) publishes the certificate of now; the next one comes by itself")
            guard record.hasChanged else { return }
            tell(.failure, role, configuration, ["serial": .string(record.serial ?? ""), "reason": .string(reason)])
        }
    }

    /// `time`: seconds since 1970.
    func postponed(_ role: String, _ configuration: PublicationConfiguration, until time: Int64) {
        raise(
            "CERTIFICATE_POSTPONED", .info, role,
            "\(configuration.directory): the certificate of now waits for its window until \(Timestamp(seconds: time))",
            "nodeguard publish --role \(role) publishes it at once")
    }

    /// The role is published another way, or not any more.
    func forget(_ role: String) { clear(Self.aboutFiles + Self.aboutReader, role) }

    func failed(
        _ role: String, _ configuration: PublicationConfiguration, serial: String?, _ reason: String,
        action: String? = nil
    ) {
        counter(role, "failure").add()
        raise(
            "CERTIFICATE_NOT_PUBLISHED", .error, role, "\(configuration.directory): \(reason)",
            action ?? "mend it; it is tried again by itself, and nodeguard publish --role \(role) tries at once")
        tell(
            .failure, role, configuration,
            ["serial": serial.map { .string($0) } ?? .null, "reason": .string(reason)].filter { $0.value != .null })
    }

    /// The reader serves what it should; `isNew`: it did not before.
    func served(_ leaf: Certificate, _ role: String, _ configuration: PublicationConfiguration, isNew: Bool) {
        clear(Self.aboutFiles + Self.aboutReader, role)
        guard isNew else { return }
        tell(.success, role, configuration, members(leaf, configuration))
    }

    func servesAnother(
        _ found: Certificate, insteadOf leaf: Certificate, _ role: String, _ configuration: PublicationConfiguration
    ) {
        let address = configuration.check?.address ?? ""
        let reason = "\(address) serves \(found), not \(leaf)"
        counter(role, "failure").add()
        raise(
            "CERTIFICATE_NOT_SERVED", .error, role, reason,
            "check that its configuration names the files in \(configuration.directory) and that the reload command "
                + "makes it read them; it is told again by itself")
        tell(.failure, role, configuration, members(leaf, configuration).merging(["reason": .string(reason)]) { $1 })
    }

    func silent(_ reason: String, _ role: String) {
        raise(
            "CERTIFICATE_NOT_CHECKED", .warn, role, "what is served is not known: \(reason)",
            "start the server, or correct publish: check:; it is asked again by itself")
    }

    private func members(_ leaf: Certificate, _ configuration: PublicationConfiguration) -> [String: JSONValue] {
        ["serial": .string(leaf.serial), "address": .string(configuration.check?.address ?? "")]
    }

    private func tell(
        _ outcome: AuditOutcome, _ role: String, _ configuration: PublicationConfiguration,
        _ fields: [String: JSONValue]
    ) {
        let own: [String: JSONValue] = ["role": .string(role), "directory": .string(configuration.directory)]
        audit.report(AuditEvent(.certificateDelivered, outcome, fields: AuditFields(own.merging(fields) { $1 })))
    }

    // MARK: reasons

    /// One problem at a time for each role: the newest.
    private func raise(_ code: String, _ severity: Severity, _ role: String, _ detail: String, _ action: String) {
        clear((Self.aboutFiles + Self.aboutReader).filter { $0 != code }, role)
        board.raise(HealthReason(code, severity, subject: Self.subject(role), detail: detail, action: action))
    }

    private func clear(_ codes: [String], _ role: String) {
        for code in codes { board.clear(code, subject: Self.subject(role)) }
    }

    private static func subject(_ role: String) -> String { "publication of \(role)" }
}
