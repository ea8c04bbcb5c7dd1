import OpenSSL
import Tokens

/// What the certificates job does, checked and complete; made by the program from its configuration file.
package struct CertificatesConfiguration: Sendable {
    /// The node's state folder: `certificates/`, `trust/`, `join/` and `quarantine/` are made in it.
    package var stateDirectory: String
    package var node: String
    /// nil: the join bundle tells.
    package var cluster: String?
    /// nil: the node runs on certificate files alone.
    package var management: ManagementConfiguration?
    /// Of the node identity, and of each role that has no rule of its own.
    package var key: KeyRule
    /// Has the tokens open: this program itself.
    package var tokenProgram = "/proc/self/exe"
    package var roles: [RoleConfiguration]
    /// Instead of those of `roles`, by role.
    package var names: [String: RoleNames] = [:]
    /// Seconds of the first pause after a failure; each failure doubles it.
    package var retryBase = 5.0
    package var limits = IssuanceLimits.standard
    /// How long a plane must have been untrusted before its pinned root is looked for again, in seconds.
    package var rebootstrapDelay = TrustStateMachine.delay
    /// How often the join bundle is looked for.
    package var pollInterval = Duration.seconds(2)

    package init(
        stateDirectory: String, node: String, cluster: String?, management: ManagementConfiguration?,
        key: KeyRule = KeyRule(), roles: [RoleConfiguration] = []
    ) {
        self.stateDirectory = stateDirectory
        self.node = node
        self.cluster = cluster
        self.management = management
        self.key = key
        self.roles = roles
    }
}

package struct ManagementConfiguration: Sendable {
    /// The file that holds the join bundle until it is used.
    package var joinFile: String
    /// The EST label of the node identity, if it is not the cluster's name.
    package var label: String?

    package init(joinFile: String, label: String? = nil) {
        self.joinFile = joinFile
        self.label = label
    }
}

/// What a role's certificate is called.
package struct RoleNames: Sendable, Equatable {
    package var dnsNames: [String]
    package var addresses: [[UInt8]]
    package var uris: [String]

    package init(dnsNames: [String], addresses: [[UInt8]], uris: [String]) {
        self.dnsNames = dnsNames
        self.addresses = addresses
        self.uris = uris
    }
}

/// What kind of private key is made, and where it stays.
package struct KeyRule: Sendable, Equatable {
    package var kind: KeyKind
    /// nil: in a file of the state folder.
    package var store: KeyStore?

    package init(_ kind: KeyKind = .ecP256, in store: KeyStore? = nil) {
        self.kind = kind
        self.store = store
    }

    /// Of requests: one that was made under another rule is not sent.
    var purpose: String { store.map { "\(kind.rawValue) \($0)" } ?? kind.rawValue }
}

/// One certificate beside the node identity.
package struct RoleConfiguration: Sendable {
    package enum Source: Sendable {
        /// Asked of the plane.
        case enrolled(dnsNames: [String], addresses: [[UInt8]], uris: [String], server: Bool, client: Bool)
        /// Brought by someone else, and watched.
        case files(chain: String, key: String)
    }

    /// The role of the node identity itself.
    package static let node = "node"

    package var name: String
    package var source: Source
    /// nil: no program but this one reads it.
    package var publication: PublicationConfiguration?
    /// nil: that of the node identity.
    package var key: KeyRule?

    package init(
        name: String, source: Source, publication: PublicationConfiguration? = nil, key: KeyRule? = nil
    ) {
        precondition(name != Self.node, "'\(Self.node)' is the node's own identity")
        self.name = name
        self.source = source
        self.publication = publication
        self.key = key
    }
}

/// Where the job brings what it has: closures that return at once, called on the job's queue.
package struct CertificateReceiver: Sendable {
    /// The node identity, and under whom the plane is verified.
    package var nodeIdentity: @Sendable (TLSIdentity, TrustAnchors) -> Void
    package var identity: @Sendable (_ role: String, TLSIdentity) -> Void
    /// The role's certificate is in service: of one that was asked of the plane, it is on the disk; of one in files, it
    /// has been adopted.
    package var inService: @Sendable (_ role: String, TLSIdentity) -> Void
    /// The cluster's authorities.
    package var trust: @Sendable (TrustAnchors) -> Void
    /// To which cluster this node belongs.
    package var membership: @Sendable (Membership) -> Void
    /// `readFiles` would find something new.
    package var filesDue: @Sendable () -> Void

    package init(
        nodeIdentity: @escaping @Sendable (TLSIdentity, TrustAnchors) -> Void = { _, _ in },
        identity: @escaping @Sendable (_ role: String, TLSIdentity) -> Void = { _, _ in },
        inService: @escaping @Sendable (_ role: String, TLSIdentity) -> Void = { _, _ in },
        trust: @escaping @Sendable (TrustAnchors) -> Void = { _ in },
        membership: @escaping @Sendable (Membership) -> Void = { _ in },
        filesDue: @escaping @Sendable () -> Void = {}
    ) {
        self.nodeIdentity = nodeIdentity
        self.identity = identity
        self.inService = inService
        self.trust = trust
        self.membership = membership
        self.filesDue = filesDue
    }
}
