import FoundationEssentials

/// `GET /v1/nodes/self/desired`: what a node is to do beyond its own configuration, signed by the cluster's
/// configuration key. It can take away and never give: the node's own file says what is allowed at most.
///
/// The answer is a DSSE envelope (200), 304 while it is the one named in `If-None-Match`, or 204 while there is none;
/// with `Prefer: wait=N` it waits so long for news.
package struct DesiredState: Sendable, Equatable {
    package static let path = "/v1/nodes/self/desired"
    /// The type that is signed with the payload.
    package static let payloadType = "application/vnd.nodeguard.desired-state.v1+json"
    package static let envelopeType = "application/vnd.dsse.v1+json"
    /// Bytes of an envelope.
    package static let sizeLimit = 4 << 20
    /// Bytes of a payload, and of an operator's file.
    package static let payloadLimit = 2 << 20
    package static let textLimit = 2048
    package static let listLimit = 1024
    package static let denialLimit = 20_000
    /// Seconds. Proxies on the way often give up after a minute.
    package static let longestWait = 50
    /// The only extended key usage of a configuration key's certificate: 2.25 and a UUID (ITU-T X.667 §6), which
    /// nobody else means.
    package static let keyUsage = "2.25.310760265672993365793098466803938366859"

    package var cluster: String
    /// nil: every node of the cluster that has none of its own.
    package var node: String?
    /// Nodes that have one of their own, where `node` is nil.
    package var except: [String]
    /// Never goes down within a cluster.
    package var version: Int64
    /// Seconds since 1970.
    package var issuedAt: Int64
    /// From this second on it is applied by nobody who has not applied it before.
    package var expiresAt: Int64
    package var content: DesiredContent

    package init(
        cluster: String, node: String?, except: [String] = [], version: Int64, issuedAt: Int64, expiresAt: Int64,
        content: DesiredContent
    ) {
        self.cluster = cluster
        self.node = node
        self.except = except
        self.version = version
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.content = content
    }

    /// Reads a payload.
    package init(reading bytes: [UInt8]) throws(JSONFlaw) {
        var members = try JSONMembers(try JSONNode(reading: bytes), path: "")
        let schema = try members.integer("schema")
        guard schema == 1 else { throw JSONFlaw("'schema' is \(schema), and only 1 is known", at: members.offset) }
        cluster = try members.required("cluster")
        node = try members.text("node")
        except = try members.texts("except") ?? []
        version = try members.integer("version")
        issuedAt = try members.integer("issued_at")
        expiresAt = try members.integer("expires_at")
        content = try DesiredContent(&members)
        try members.end()
        guard Name.isValid(cluster), ((node.map { [$0] } ?? []) + except).allSatisfy(Name.isValid) else {
            throw JSONFlaw("'cluster', 'node' or 'except' is no name", at: 0)
        }
        guard version > 0, issuedAt > 0, expiresAt > issuedAt else {
            throw JSONFlaw("'version', 'issued_at' and 'expires_at' are not in order", at: 0)
        }
    }

    /// What is signed.
    package var payload: [UInt8] {
        get throws { Array(try JSONEncoder.plane.encode(self)) }
    }
}

extension DesiredState: Encodable {
    private enum CodingKeys: String, CodingKey {
        case schema, cluster, node, except, version
        case issuedAt = "issued_at"
        case expiresAt = "expires_at"
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(1, forKey: .schema)
        try container.encode(cluster, forKey: .cluster)
        try container.encodeIfPresent(node, forKey: .node)
        if !except.isEmpty { try container.encode(except, forKey: .except) }
        try container.encode(version, forKey: .version)
        try container.encode(issuedAt, forKey: .issuedAt)
        try container.encode(expiresAt, forKey: .expiresAt)
        try content.encode(to: encoder)
    }
}
