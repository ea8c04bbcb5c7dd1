import IO
import Proxy

/// `backend-tls:` of a listener, with the keys that say whom it accepts.
struct BackendTLSSection: Sendable, Equatable {
    enum Mode: String, Sendable, CaseIterable {
        case off, verify
        case sameCertificate = "same-certificate"
    }

    let mode: Mode
    let negotiation: BackendTLS.Negotiation
    /// As it is written; nil: the backend's host.
    let name: String?
    let trust: [ListenerSection.Trust]

    static func read(
        _ section: Section, _ backend: Section.Located<String>?, _ databaseProtocol: DatabaseProtocol?,
        _ roles: CertificateRoles
    ) -> BackendTLSSection {
        let mode = section.located("backend-tls", Form<Mode>.word("backend-tls"))
        let negotiation = section.located(
            "backend-tls-negotiation", Form<BackendTLS.Negotiation>.word("negotiation of TLS"))
        let name = section.located("backend-name", .certificateName)
        let trust = section.list("backend-trust", .trust) ?? []
        let isUnix = backend?.value.hasPrefix("unix:") == true
        switch mode?.value ?? .off {
        case .off:
            if section.has("backend-tls"), mode == nil { break }
            for key in ["backend-name", "backend-trust", "backend-tls-negotiation"] where section.has(key) {
                section.add("'\(key)' says nothing without 'backend-tls'", at: section.place(of: key))
            }
        case .verify:
            let place = section.place(of: "backend-tls")
            if !section.has("backend-trust") {
                section.add("'verify' needs 'backend-trust': who certifies the database", at: place)
            }
            if isUnix, name == nil, !section.has("backend-name") {
                section.add("'verify' needs 'backend-name': a unix backend has no host", at: place)
            }
        case .sameCertificate:
            if section.has("backend-trust") {
                section.add(
                    "'same-certificate' accepts the listener's own certificate and nothing else: leave "
                        + "'backend-trust' out", at: section.place(of: "backend-trust"))
            }
        }
        if let negotiation, let mode, mode.value != .off, let databaseProtocol, databaseProtocol != .postgres {
            section.add("only the protocol postgres has anything to negotiate before TLS", at: negotiation.position)
        }
        if let mode, mode.value != .off, isUnix, databaseProtocol == .postgres {
            section.add("PostgreSQL does not speak TLS over a unix socket: use 127.0.0.1:PORT", at: mode.position)
        }
        ListenerSection.checkTrust(trust, section, roles)
        return BackendTLSSection(
            mode: mode?.value ?? .off, negotiation: negotiation?.value ?? .sslRequest, name: name?.value,
            trust: trust.map(\.value))
    }

    var shown: ConfigurationText.Members {
        let named: ConfigurationText.Members = name.map { [("backend-name", .text($0))] } ?? []
        let trusted: ConfigurationText.Members =
            trust.isEmpty ? [] : [("backend-trust", .list(trust.map(\.description)))]
        let negotiated: ConfigurationText.Members =
            negotiation == .sslRequest ? [] : [("backend-tls-negotiation", .text(negotiation.rawValue))]
        return [("backend-tls", .text(mode.rawValue))] + negotiated + named + trusted
    }
}

extension Form where Value == String {
    /// What a certificate can name a server by: a host name or a literal address.
    static var certificateName: Form {
        Form { text throws(Flaw) in
            if SocketAddress("\(text):1") != nil || SocketAddress("[\(text)]:1") != nil, !text.hasPrefix("unix:") {
                return text
            }
            return try Form<String>.dnsName.read(text)
        }
    }
}
