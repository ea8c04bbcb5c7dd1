import IO

/// `certificates:`: how keys are made, and the roles beside the node's own identity.
struct CertificatesSection: Sendable, Equatable {
    var key = KeySection()
    var roles: [RoleSection] = []

    static func read(_ section: Section, isManaged: Bool) -> CertificatesSection? {
        var certificates = CertificatesSection()
        if let key = section.section("key", { KeySection.read($0, default: KeySection()) }) { certificates.key = key }
        let key = certificates.key
        var seen: Set<String> = []
        certificates.roles = section.sections("roles") { section in
            guard let role = RoleSection.read(section, isManaged: isManaged, key) else { return nil }
            if seen.insert(role.name).inserted { return role }
            section.add("there is a role '\(role.name)' already", at: section.place(of: "name"))
            return nil
        }
        return certificates
    }
}

/// One certificate that the node serves or presents.
struct RoleSection: Sendable, Equatable {
    enum Usage: String, Sendable, CaseIterable {
        case server, client
    }

    enum Source: Sendable, Equatable {
        /// Asked of the plane with these names.
        case enrolled(names: [String], addresses: [[UInt8]], uris: [String], usage: [Usage])
        /// Brought by someone else, and watched.
        case files(chain: String, key: String)
    }

    /// The node's own identity, which is no role of the configuration.
    static let reservedName = "node"

    let name: String
    let source: Source
    /// nil: no program but this one reads it.
    let publication: PublishSection?
    /// nil: it is in a file of others.
    let key: KeySection?

    /// `general`: what holds for keys of roles that say nothing about theirs.
    static func read(_ section: Section, isManaged: Bool, _ general: KeySection) -> RoleSection? {
        let name = section.value("name", .roleName, isRequired: true)
        let names = section.list("names", .dnsName)?.map(\.value)
        let addresses = section.list("addresses", .ipAddress)?.map(\.value)
        let uris = section.list("uris", .uri)?.map(\.value)
        let usage = section.list("usage", Form<Usage>.word("usage"))?.map(\.value)
        let files = section.section("files") { section -> Source? in
            let chain = section.value("chain", .path, isRequired: true)
            let key = section.value("key", .path, isRequired: true)
            guard let chain, let key else { return nil }
            return .files(chain: chain, key: key)
        }
        let host = names?.first ?? addresses?.first.flatMap(SocketAddress.host)
        let publication = section.section("publish") {
            PublishSection.read($0, host: host, trustsCluster: isManaged)
        }
        let key = section.section("key") { KeySection.read($0, default: general) } ?? general
        guard let name else { return nil }
        if section.has("files") {
            for key in ["names", "addresses", "uris", "usage"] where section.has(key) {
                section.add(
                    "'\(key)' does not go with 'files': the certificate in them has its names already",
                    at: section.place(of: key))
            }
            if section.has("key") {
                section.add(
                    "'key' does not go with 'files': whoever brings them has made the key", at: section.place(of: "key")
                )
            }
            return files.map { RoleSection(name: name, source: $0, publication: publication, key: nil) }
        }
        if let store = key.store, publication != nil {
            section.add(
                "the key of the role '\(name)' does not leave \(store), and cannot be published: write "
                    + "'key: { store: file }' there", at: section.place(of: "publish"))
        }
        if !isManaged {
            section.add(
                "without 'management' nobody issues a certificate for the role '\(name)': give it 'files'",
                at: section.place(of: "name"))
        }
        let hasNames = [names?.isEmpty, addresses?.isEmpty, uris?.isEmpty].contains(false)
        let asksForNames = ["names", "addresses", "uris"].contains(where: section.has)
        if !hasNames, !asksForNames {
            section.add("the role '\(name)' needs 'names', 'addresses' or 'uris'", at: section.position)
        }
        return RoleSection(
            name: name,
            source: .enrolled(
                names: names ?? [], addresses: addresses ?? [], uris: uris ?? [],
                usage: Usage.allCases.filter((usage ?? [.server]).contains)),
            publication: publication, key: key)
    }
}

extension Form where Value == String {
    fileprivate static var roleName: Form {
        Form { text throws(Flaw) in
            if text == RoleSection.reservedName {
                throw Flaw("'\(text)' is the node's own identity: name the role otherwise")
            }
            return try name.read(text)
        }
    }
}
