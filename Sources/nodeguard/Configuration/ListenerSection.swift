import IO
import Proxy

/// One of `proxy: listeners:`: a port before a database.
struct ListenerSection: Sendable, Equatable {
    enum Trust: Sendable, Equatable, CustomStringConvertible {
        case cluster
        case file(String)

        /// As it is written.
        var description: String {
            switch self {
            case .cluster: "cluster"
            case .file(let path): "file:" + path
            }
        }
    }

    /// What becomes of a PostgreSQL session's `application_name`.
    enum ApplicationName: String, Sendable, CaseIterable {
        case keep
        case appendAddress = "append-address"
    }

    /// From where the database's connections come.
    enum BackendSource: String, Sendable, CaseIterable { case node, transparent }

    let name: String
    let listen: [SocketAddress]
    let databaseProtocol: DatabaseProtocol
    /// `host:port` or `unix:/path`; resolved at the start.
    let backend: String
    let backendTLS: BackendTLSSection
    let source: BackendSource
    let proxyProtocol: ProxyProtocolSection
    let applicationName: ApplicationName
    let health: BackendHealthRules?
    let acknowledgesLocalTrust: Bool
    let certificates: ListenerCertificatesSection
    let trust: [Trust]
    /// Where certificates are looked up; nil: they are not.
    let revocation: RevocationConfiguration?
    /// A file.
    let denyList: String?
    let allow: [RuleSection]
    let deny: [RuleSection]
    /// A file; read when the policy is made.
    let databaseUserMap: String?
    let mode: AccessPolicy.Mode
    let explainsCertificateRefusals: Bool
    /// nil: as the defaults say.
    let resumesSessions: Bool?
    let limits: ProxyLimits.PerListener

    static func read(_ section: Section, _ roles: CertificateRoles) -> ListenerSection? {
        section.refuse("audit")
        let name = section.value("name", .name, isRequired: true)
        let listen = section.list("listen", .listenAddress, isRequired: true)
        let databaseProtocol = section.value(
            "protocol", Form<DatabaseProtocol>.word("protocol"), isRequired: true)
        let backend = section.located("backend", .backend, isRequired: true)
        let backendTLS = BackendTLSSection.read(section, backend, databaseProtocol, roles)
        let source = section.located("backend-source", Form<BackendSource>.word("source of connections"))
        if let source, source.value == .transparent, backend?.value.hasPrefix("unix:") == true {
            section.add("over a unix socket connections come from no address: use 127.0.0.1:PORT", at: source.position)
        }
        let proxyProtocol = ProxyProtocolSection.read(section)
        let applicationName = section.located(
            "application-name", Form<ApplicationName>.word("treatment of application_name"))
        if let applicationName, applicationName.value == .appendAddress, databaseProtocol != .postgres {
            section.add("only the protocol postgres has an application_name", at: applicationName.position)
        }
        let health = BackendHealthRules.read(section)
        let acknowledges = section.value("acknowledge-local-trust", .flag) ?? false
        let certificates = ListenerCertificatesSection.read(section, roles)
        let trust = section.list("trust", .trust, isRequired: true)
        let revocation = RevocationConfiguration.read(section, roles)
        let denyList = section.value("deny-list", .path)
        let allow = section.sections("allow") { RuleSection.read($0, databaseProtocol) }
        let deny = section.sections("deny") { RuleSection.read($0, databaseProtocol) }
        let databaseUserMap = section.located("database-user-map", .path)
        let mode = section.value("mode", Form<AccessPolicy.Mode>.word("mode")) ?? .enforce
        let explains = section.located("explain-certificate-refusals", .flag)
        let resumesSessions = section.value("session-resumption", .flag)
        let limits = section.section("limits", ProxyLimits.PerListener.read) ?? ProxyLimits.PerListener()
        checkWords(databaseProtocol, databaseUserMap, explains, section)
        if let certificates, certificates.roles.count > 1, backendTLS.mode == .sameCertificate {
            section.add(
                "'same-certificate' takes one certificate: a database cannot present several",
                at: section.place(of: "certificates"))
        }
        if let role = certificates?.roles.first, backendTLS.mode == .sameCertificate {
            roles.checkStandsInFile(role, at: section.place(of: "certificate"), section)
        }
        if let backend, databaseProtocol == .postgres, backend.value.hasPrefix("unix:"), !acknowledges {
            section.add(Self.localTrust, at: backend.position)
        }
        checkTrust(trust ?? [], section, roles)
        guard let name, let listen, let databaseProtocol, let backend, let certificates, let trust else { return nil }
        return ListenerSection(
            name: name, listen: listen.map(\.value), databaseProtocol: databaseProtocol, backend: backend.value,
            backendTLS: backendTLS, source: source?.value ?? .node, proxyProtocol: proxyProtocol,
            applicationName: applicationName?.value ?? .keep,
            health: health, acknowledgesLocalTrust: acknowledges,
            certificates: certificates, trust: trust.map(\.value), revocation: revocation, denyList: denyList,
            allow: allow, deny: deny,
            databaseUserMap: databaseUserMap?.value, mode: mode, explainsCertificateRefusals: explains?.value ?? false,
            resumesSessions: resumesSessions, limits: limits)
    }

    private static func checkWords(
        _ databaseProtocol: DatabaseProtocol?, _ map: Section.Located<String>?, _ explains: Section.Located<Bool>?,
        _ section: Section
    ) {
        if let map, let databaseProtocol, databaseProtocol != .postgres {
            section.add("only the protocol postgres names a user before the rules decide", at: map.position)
        }
        if let explains, explains.value, databaseProtocol == .tcp {
            section.add("the protocol tcp has no words in which to explain a refusal", at: explains.position)
        }
    }

    private static let localTrust = """
        over a unix socket the database may ask for no password at all (YugabyteDB's default pg_hba.conf has \
        'local all yugabyte trust'): use 127.0.0.1:PORT, or add 'acknowledge-local-trust: yes' once you have looked
        """

    static func checkTrust(_ trust: [Section.Located<Trust>], _ section: Section, _ roles: CertificateRoles) {
        for one in trust where one.value == .cluster && !roles.isManaged {
            section.add("without 'management' there is no cluster to trust: write \"file:/…/ca.pem\"", at: one.position)
        }
    }
}

extension Form where Value == String {
    static var backend: Form {
        Form { text throws(Flaw) in
            if let address = SocketAddress(text) {
                if address.port == 0 { throw Flaw("'\(text)' has no port to connect to") }
                return text
            }
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0
            else { throw Flaw("'\(text)' is no backend: write 127.0.0.1:5432, host:5432 or unix:/path") }
            do {
                _ = try Form<String>.dnsName.read(String(text[..<colon]))
            } catch {
                throw Flaw("'\(text)' is no backend: write 127.0.0.1:5432, host:5432 or unix:/path")
            }
            return text
        }
    }
}

extension Form where Value == ListenerSection.Trust {
    static var trust: Form {
        Form { text throws(Flaw) in
            if text == "cluster" { return .cluster }
            guard text.hasPrefix("file:/") else {
                throw Flaw("'\(text)' is nothing to trust: write cluster or \"file:/…/ca.pem\"")
            }
            return .file(try Form<String>.path.read(String(text.dropFirst("file:".count))))
        }
    }
}
