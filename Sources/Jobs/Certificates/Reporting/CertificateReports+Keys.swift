import OpenSSL
import Reports
import Tokens

/// Tokens and the keys in them.
extension CertificateReports {
    private static let codes: [TokenStateMachine.Fault: String] = [
        .unreachable: "KEY_TOKEN_UNREACHABLE", .silent: "KEY_TOKEN_SILENT", .pinRefused: "KEY_TOKEN_PIN_REFUSED",
        .pinLocked: "KEY_TOKEN_PIN_LOCKED",
    ]

    func tokenChanged(_ condition: TokenCondition) {
        let store = condition.store.description
        let subject = "token \(store)"
        guard let fault = condition.fault, let code = Self.codes[fault] else {
            audit.report(AuditEvent(.keyStoreChanged, fields: ["store": .string(store)]))
            return clear(subject: subject)
        }
        audit.report(
            AuditEvent(
                .keyStoreChanged, .failure,
                fields: [
                    "store": .string(store), "reason": .string(fault.rawValue), "detail": .string(condition.detail),
                ]))
        raise(
            HealthReason(
                code, .error, subject: subject,
                detail: "the keys in \(store) cannot be used, and handshakes that need them are refused: "
                    + condition.detail,
                action: Self.remedy(fault)))
    }

    private static func remedy(_ fault: TokenStateMachine.Fault) -> String {
        switch fault {
        case .unreachable, .silent:
            "look at the token, its module and what the unit may reach (nodeguard.yaml(5), certificates: key:); it is "
                + "tried again by itself"
        case .pinRefused:
            "put the right PIN into the file or the credential of pin-source: it is tried once then, and never before"
        case .pinLocked:
            "unlock the token with its own tool, then write the file of pin-source anew"
        }
    }

    func keyMade(_ role: String, _ kind: KeyKind, in store: KeyStore) {
        audit.report(
            AuditEvent(
                .keyMade,
                fields: [
                    "role": .string(role), "kind": .string(kind.rawValue), "store": .string(store.description),
                ]))
    }

    func keyDestroyed(_ role: String, _ reference: KeyReference, failure: String?) {
        var fields: AuditFields = ["role": .string(role), "store": .string(reference.place)]
        if let name = reference.name { fields["key"] = .string(name) }
        if let failure { fields["reason"] = .string(failure) }
        audit.report(AuditEvent(.keyDestroyed, failure == nil ? .success : .failure, fields: fields))
    }
}
