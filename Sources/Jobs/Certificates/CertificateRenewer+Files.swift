import OpenSSL
import Reports

/// What lies in the files of roles whose certificates someone else brings, where it is another than what is served.
package struct FoundCertificates: Sendable {
    /// By role.
    package var new: [String: TLSIdentity] = [:]
    /// By role; what was served stays.
    package var mistakes: [String: String] = [:]
}

extension CertificateRenewer {
    /// Reads the files again; nothing of them is in service before `adopt`.
    package func readFiles() -> FoundCertificates {
        var found = FoundCertificates()
        for file in files {
            let subject = CertificateReports.subject(file.role)
            switch file.look(at: seconds) {
            case .unchanged: reports.clear(subject: subject)
            case .new(let identity):
                reports.clear(subject: subject)
                found.new[file.role] = identity
            case .unusable(let reason):
                found.mistakes[file.role] = reason
                reports.raise(
                    HealthReason(
                        "CERTIFICATE_FILES_UNUSABLE", .error, subject: subject, detail: reason,
                        action: "put a matching chain (own certificate first) and key there; what was in service stays")
                )
            }
        }
        return found
    }

    /// They are in service now.
    package func adopt(_ found: FoundCertificates) {
        for file in files {
            guard let identity = found.new[file.role] else { continue }
            file.adopt(identity)
            receiver.inService(file.role, identity)
            reports.published(identity.leaf, role: file.role, generation: file.generation)
        }
        report()
    }

    /// Whether a certificate that lay there before its time has become valid.
    var isFileDue: Bool { files.contains { $0.awaitedTime.map { $0 <= seconds } ?? false } }
}
