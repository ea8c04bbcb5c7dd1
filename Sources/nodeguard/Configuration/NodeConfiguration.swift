import IO

/// The whole configuration of a node, parsed once into values that cannot be wrong; every key has its value, given or
/// by default.
struct NodeConfiguration: Sendable, Equatable {
    static let defaultPath = "/etc/nodeguard/nodeguard.yaml"
    /// A larger file is no configuration.
    static let sizeLimit = 1 << 20

    let node: NodeSection
    /// Without it the node runs standalone, on certificate files.
    let management: ManagementSection?
    let certificates: CertificatesSection
    let proxy: ProxySection
    let backups: BackupsSection
    let audit: AuditSection
    let status: StatusSection
    let log: LogSection
    let places: ConfigurationPlaces

    static func read(_ path: String) throws(ConfigurationError) -> NodeConfiguration {
        let bytes: [UInt8]
        do {
            bytes = try Files.read(path, limit: sizeLimit)
        } catch {
            throw ConfigurationError(
                path: path,
                mistakes: [ConfigurationMistake(position: .start, text: "cannot read it: \(error)\(hint(path))")])
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(
                path: path, mistakes: [ConfigurationMistake(position: .start, text: "this is not UTF-8 text")])
        }
        return try parse(text, path: path)
    }

    private static func hint(_ path: String) -> String {
        guard !Files.exists(path) else { return "" }
        return "; name another with --config, or begin one: nodeguard config example >\(path)"
    }

    static func parse(_ text: String, path: String) throws(ConfigurationError) -> NodeConfiguration {
        let reading = ConfigurationReading()
        let configuration = read(text, reading, path: path)
        guard let configuration, reading.mistakes.isEmpty else {
            throw ConfigurationError(path: path, mistakes: reading.mistakes)
        }
        return configuration
    }

    /// nil only if `reading` has mistakes.
    static func read(
        _ text: String, _ reading: ConfigurationReading, path: String = defaultPath
    ) -> NodeConfiguration? {
        guard let root = ConfigurationDocument.parse(text, reading) else { return nil }
        guard case .mapping = root.content else {
            reading.add("the configuration must be a section, not \(root.kind)", at: root.position)
            return nil
        }
        let section = Section(root, path: "", reading)
        defer { section.end() }
        section.refuse("preset")
        let node = section.section("node", NodeSection.read) ?? NodeSection.standard(section)
        let management = section.section("management") { ManagementSection.read($0, state: node?.state) }
        let certificates =
            section.section("certificates") {
                CertificatesSection.read($0, isManaged: section.has("management"))
            } ?? CertificatesSection()
        let roles = CertificateRoles(certificates.roles, isManaged: section.has("management"))
        let proxy = section.section("proxy") { ProxySection.read($0, roles) } ?? ProxySection()
        let backups =
            section.section("backups") {
                BackupsSection.read($0, isManaged: section.has("management"))
            } ?? BackupsSection()
        let audit = section.section("audit", AuditSection.read) ?? AuditSection()
        let status = section.section("status", StatusSection.read) ?? StatusSection()
        let log = section.section("log", LogSection.read) ?? LogSection()
        guard let node else { return nil }
        return NodeConfiguration(
            node: node, management: management, certificates: certificates, proxy: proxy, backups: backups,
            audit: audit, status: status, log: log, places: ConfigurationPlaces(path: path, reading.places))
    }
}

/// What listeners and tunnels may refer to.
struct CertificateRoles {
    private let roles: [RoleSection]
    let isManaged: Bool

    init(_ roles: [RoleSection], isManaged: Bool) {
        self.roles = roles
        self.isManaged = isManaged
    }

    /// `forClients`: it is to stand for a client. What files hold is known later.
    func check(_ role: Section.Located<String>, _ section: Section, forClients: Bool = false) {
        guard let found = roles.first(where: { $0.name == role.value }) else {
            let hint = Suggestion.nearest(to: role.value, among: roles.map(\.name)).map { "; did you mean '\($0)'?" }
            section.add("there is no role '\(role.value)' under 'certificates'\(hint ?? "")", at: role.position)
            return
        }
        if forClients { checkStandsInFile(role.value, at: role.position, section) }
        guard forClients, case .enrolled(_, _, _, let usage) = found.source, !usage.contains(.client) else { return }
        section.add(
            "the role '\(role.value)' is not for clients: write 'usage: [server, client]' there", at: role.position)
    }

    /// Where the node itself shakes hands with somebody, sessions go on in the same lane.
    func checkStandsInFile(_ role: String, at position: Position, _ section: Section) {
        guard let store = roles.first(where: { $0.name == role })?.key?.store else { return }
        section.add(
            "the key of the role '\(role)' is in \(store), and live sessions must not wait for a token when "
                + "this node connects to somebody: use a role with 'key: { store: file }'", at: position)
    }

    /// Whether handshakes that show one of these have to wait for a token.
    func areInToken(_ names: [String]) -> Bool {
        roles.contains { names.contains($0.name) && $0.key?.store != nil }
    }
}
