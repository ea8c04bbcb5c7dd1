import FoundationEssentials
import PlaneAPI

/// `node:`: who this node is and where it keeps its state.
struct NodeSection: Sendable, Equatable {
    static let defaultState = "/var/lib/nodeguard"

    let name: String
    /// nil: the join bundle tells.
    let cluster: String?
    let state: String

    static func read(_ section: Section) -> NodeSection? {
        let name = section.value("name", .name)
        let cluster = section.value("cluster", .name)
        let state = section.value("state", .path) ?? defaultState
        if name == nil, section.has("name") { return nil }
        guard let name = name ?? hostName(section) else { return nil }
        return NodeSection(name: name, cluster: cluster, state: state)
    }

    /// Of a file that has no `node:` at all.
    static func standard(_ root: Section) -> NodeSection? {
        if root.has("node") { return nil }
        return hostName(root).map { NodeSection(name: $0, cluster: nil, state: defaultState) }
    }

    private static func hostName(_ section: Section) -> String? {
        let name = ProcessInfo.processInfo.hostName
        if Name.isValid(name) { return name }
        section.add("the host name '\(name)' cannot be the node's name: set node: name", at: section.position)
        return nil
    }
}

/// `management:`: the plane that this node belongs to.
struct ManagementSection: Sendable, Equatable {
    struct EST: Sendable, Equatable {
        let url: String
        /// nil: the cluster's name.
        let label: String?
        /// Beside the token; may be empty.
        let user: String
    }

    let url: String
    /// The file that holds the join bundle.
    let join: String
    let est: EST
    /// Whether the node asks for its desired state, and reports what it does.
    let isDirected: Bool

    static func read(_ section: Section, state: String?) -> ManagementSection? {
        let url = section.value("url", .httpsURL, isRequired: true)
        let join = section.value("join", .joinFile)
        let est = section.section("est") { section in
            (
                url: section.value("url", .httpsURL), label: section.value("label", .estLabel),
                user: section.value("user", .estUser)
            )
        }
        let desired = section.value("desired", .flag)
        guard let url else { return nil }
        return ManagementSection(
            url: url, join: join ?? (state ?? NodeSection.defaultState) + "/join/bundle",
            est: EST(url: est?.url ?? url, label: est?.label, user: est?.user ?? ""), isDirected: desired ?? true)
    }
}

extension Form where Value == String {
    fileprivate static var joinFile: Form {
        Form { text throws(Flaw) in
            if text.hasPrefix("credential:") {
                throw Flaw("'\(text)': systemd credentials are not supported by this version: name a file")
            }
            if text.hasPrefix(JoinBundle.prefix) {
                throw Flaw("a join bundle does not belong into the configuration, which others may read: name its file")
            }
            return try path.read(text)
        }
    }

    /// Of HTTP Basic (RFC 7617, section 2).
    fileprivate static var estUser: Form {
        Form { text throws(Flaw) in
            let isPlain = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
            guard isPlain, text.utf8.count <= 128 else {
                throw Flaw("'\(text)' is no user name: at most 128 visible characters of ASCII, without ':'")
            }
            return text
        }
    }

    /// One path segment (RFC 7030, section 3.2.2).
    fileprivate static var estLabel: Form {
        Form { text throws(Flaw) in
            let operations = ["cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs"]
            guard Name.isValid(text), !operations.contains(text) else {
                throw Flaw("'\(text)' is no EST label: letters, digits, '.', '_' and '-' only, and no EST operation")
            }
            return text
        }
    }
}
