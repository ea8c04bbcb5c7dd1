import FoundationEssentials

/// `PUT /v1/nodes/self/observed`: what a node really does, at its start, on each change and with each question for its
/// desired state. The plane answers 204.
///
/// Members that are not known are passed over, so that a newer agent can report to an older plane; what is known is
/// held to `flaw`.
package struct ObservedState: Codable, Sendable, Equatable {
    package static let path = "/v1/nodes/self/observed"
    /// Bytes; a longer report is answered 413.
    package static let sizeLimit = 256 << 10
    /// Entries of each list.
    package static let listLimit = 256
    /// Bytes of each text.
    package static let textLimit = 1024

    /// Of the agent.
    package var version: String
    /// Of this process of the agent: 32 hex digits, never the same twice.
    package var instance: String
    /// Of the machine's start, as the kernel names it; empty if it does not say.
    package var boot: String
    /// Of the reports of this state folder: each one's is higher than that of the one before, over restarts too.
    package var generation: Int64
    /// By the node's clock, in seconds since 1970.
    package var time: Int64
    /// By how many seconds the node's clock is ahead of the plane's; nil: not compared yet.
    package var clockOffset: Int64?
    /// Under whom the node verifies the plane.
    package var planeTrust: Trust?
    package var certificates: [Certificate]
    package var listeners: [Listener]
    package var desired: Desired?

    /// Who is trusted.
    package struct Trust: Codable, Sendable, Equatable {
        /// SHA-256, as 64 hex digits, over the trust anchors in DER, sorted as bytes, one behind the other.
        package var bundle: String
        /// SHA-256 of each anchor in DER, as 64 hex digits, sorted.
        package var anchors: [String]

        package init(bundle: String, anchors: [String]) {
            self.bundle = bundle
            self.anchors = anchors
        }
    }

    /// What is in service for a role (`node`: the node's own identity).
    package struct Certificate: Codable, Sendable, Equatable {
        package var role: String
        package var serial: String
        package var issuer: String
        /// SHA-256 of the issuer's SubjectPublicKeyInfo, as 64 hex digits; nil: the issuer is not known.
        package var issuerKey: String?
        /// Seconds since 1970.
        package var notAfter: Int64
        /// SHA-256 of each certificate of the chain, as 64 hex digits, the leaf first.
        package var chain: [String]

        package init(
            role: String, serial: String, issuer: String, issuerKey: String?, notAfter: Int64, chain: [String]
        ) {
            self.role = role
            self.serial = serial
            self.issuer = issuer
            self.issuerKey = issuerKey
            self.notAfter = notAfter
            self.chain = chain
        }

        private enum CodingKeys: String, CodingKey {
            case role, serial, issuer, chain
            case issuerKey = "issuer_key"
            case notAfter = "not_after"
        }
    }

    /// A listener or a tunnel.
    package struct Listener: Codable, Sendable, Equatable {
        package var name: String
        package var isTunnel: Bool
        /// The roles whose certificates it shows.
        package var roles: [String]
        /// nil: it waits for its trust.
        package var trust: Trust?
        /// SHA-256 of the leaf that it shows first, as 64 hex digits; nil: none yet.
        package var served: String?
        /// Since the agent's start; of at most `ObservedState.listLimit` issuers.
        package var issuers: [Issuer]
        /// Alerts of clients that do not know the issuer of what it shows (RFC 8446 §6.2), since the agent's start.
        package var unknownCA: Int64
        /// Clients that had been let in lately, and then ended a handshake with this alert, since the agent's start.
        package var refusingClients: Int64
        /// Clients that came with a certificate of an unknown issuer, since the agent's start.
        package var unknownIssuers: Int64

        package init(
            name: String, isTunnel: Bool, roles: [String], trust: Trust?, served: String?, issuers: [Issuer],
            unknownCA: Int64, refusingClients: Int64, unknownIssuers: Int64
        ) {
            self.name = name
            self.isTunnel = isTunnel
            self.roles = roles
            self.trust = trust
            self.served = served
            self.issuers = issuers
            self.unknownCA = unknownCA
            self.refusingClients = refusingClients
            self.unknownIssuers = unknownIssuers
        }

        private enum CodingKeys: String, CodingKey {
            case name, roles, trust, served, issuers
            case isTunnel = "tunnel"
            case unknownCA = "unknown_ca"
            case refusingClients = "refusing_clients"
            case unknownIssuers = "unknown_issuers"
        }
    }

    /// Who has certified peers that were verified.
    package struct Issuer: Codable, Sendable, Equatable {
        /// SHA-256 of its SubjectPublicKeyInfo, as 64 hex digits.
        package var key: String
        package var peers: Int64

        package init(key: String, peers: Int64) {
            self.key = key
            self.peers = peers
        }
    }

    /// The desired state that is applied, and what became of each part.
    package struct Desired: Codable, Sendable, Equatable {
        /// 0: none was ever applied.
        package var version: Int64
        /// SHA-256 of its envelope, as 64 hex digits; nil with version 0.
        package var hash: String?
        package var results: [Result]
        /// Why the newest that the plane gave is not applied; nil: it is.
        package var refusal: Refusal?

        package init(version: Int64, hash: String?, results: [Result], refusal: Refusal?) {
            self.version = version
            self.hash = hash
            self.results = results
            self.refusal = refusal
        }
    }

    package struct Result: Codable, Sendable, Equatable {
        /// `deny`, `listener NAME`, `role NAME`, `order ID`.
        package var resource: String
        /// `applied`, `absent` (this node has no such thing), `pending` or `refused`.
        package var outcome: String
        package var detail: String?

        package init(resource: String, outcome: String, detail: String? = nil) {
            self.resource = resource
            self.outcome = outcome
            self.detail = detail
        }
    }

    package struct Refusal: Codable, Sendable, Equatable {
        /// Stable, in kebab case.
        package var reason: String
        package var detail: String

        package init(reason: String, detail: String) {
            self.reason = reason
            self.detail = detail
        }
    }

    package init(
        version: String, instance: String, boot: String, generation: Int64, time: Int64, clockOffset: Int64? = nil,
        planeTrust: Trust? = nil, certificates: [Certificate] = [], listeners: [Listener] = [],
        desired: Desired? = nil
    ) {
        self.version = version
        self.instance = instance
        self.boot = boot
        self.generation = generation
        self.time = time
        self.clockOffset = clockOffset
        self.planeTrust = planeTrust
        self.certificates = certificates
        self.listeners = listeners
        self.desired = desired
    }

    private enum CodingKeys: String, CodingKey {
        case version, instance, boot, generation, time, certificates, listeners, desired
        case clockOffset = "clock_offset"
        case planeTrust = "plane_trust"
    }
}
