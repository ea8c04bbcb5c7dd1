/// What narrows one listener's rules.
package struct DesiredListener: Sendable, Equatable, Encodable {
    static let listLimit = 16

    /// Each of these lists has a rule that allows whom the listener's own rules allow, or he is refused.
    package var allow: [[DesiredRule]]
    /// Beside the listener's own.
    package var deny: [DesiredRule]

    package init(allow: [[DesiredRule]] = [], deny: [DesiredRule] = []) {
        self.allow = allow
        self.deny = deny
    }

    init(_ node: JSONNode, path: String) throws(JSONFlaw) {
        var members = try JSONMembers(node, path: path)
        var lists: [[DesiredRule]] = []
        if let rules = try members.items("allow") { lists.append(try DesiredRule.list(rules, "\(path).allow")) }
        for (index, list) in (try members.items("allow_each", limit: Self.listLimit) ?? []).enumerated() {
            let path = "\(path).allow_each[\(index)]"
            lists.append(try DesiredRule.list(try list.items(path), path))
        }
        guard lists.count <= Self.listLimit else {
            throw JSONFlaw(
                "'\(path)' has more than \(Self.listLimit) lists under allow and allow_each", at: node.offset)
        }
        let denied = try DesiredRule.list(try members.items("deny") ?? [], "\(path).deny")
        try members.end()
        self.init(allow: lists, deny: denied)
    }

    func joined(with own: DesiredListener) -> DesiredListener {
        DesiredListener(
            allow: allow + own.allow.filter { !allow.contains($0) }, deny: deny + own.deny.filter { !deny.contains($0) }
        )
    }

    private enum CodingKeys: String, CodingKey {
        case deny
        case allow = "allow_each"
    }
}

/// A rule in the terms of a listener's `allow` and `deny`; what the terms mean is the agent's affair.
package struct DesiredRule: Sendable, Equatable, Encodable {
    package static let keys = [
        "common-name", "organization", "organizational-unit", "dns", "ip", "uri", "email", "issuer", "serial", "spki",
        "usage", "database-user", "database",
    ]
    static let depthLimit = 4

    package var values: [String: [String]]
    package var all: [DesiredRule]?
    package var any: [DesiredRule]?
    /// `yes`, `no` or `only`.
    package var replication: String?

    package init(
        _ values: [String: [String]] = [:], all: [DesiredRule]? = nil, any: [DesiredRule]? = nil,
        replication: String? = nil
    ) {
        self.values = values
        self.all = all
        self.any = any
        self.replication = replication
    }

    static func list(_ nodes: [JSONNode], _ path: String) throws(JSONFlaw) -> [DesiredRule] {
        var rules: [DesiredRule] = []
        for (index, node) in nodes.enumerated() {
            rules.append(try DesiredRule(node, path: "\(path)[\(index)]", depth: 0))
        }
        return rules
    }

    private init(_ node: JSONNode, path: String, depth: Int) throws(JSONFlaw) {
        var members = try JSONMembers(node, path: path)
        values = [:]
        for key in Self.keys {
            guard let texts = try members.texts(key) else { continue }
            guard !texts.isEmpty else { throw JSONFlaw("'\(path).\(key)' needs a value", at: node.offset) }
            values[key] = texts
        }
        all = try Self.group("all", &members, path, depth)
        any = try Self.group("any", &members, path, depth)
        replication = depth == 0 ? try members.text("replication") : nil
        try members.end()
        if let replication, !["yes", "no", "only"].contains(replication) {
            throw JSONFlaw("'\(path).replication' is yes, no or only", at: node.offset)
        }
        if values.isEmpty, all == nil, any == nil {
            throw JSONFlaw("'\(path)' names nobody", at: node.offset)
        }
        if values["serial"] != nil, values["issuer"] == nil {
            throw JSONFlaw("'\(path)': a serial number counts with its issuer", at: node.offset)
        }
    }

    private static func group(
        _ name: String, _ members: inout JSONMembers, _ path: String, _ depth: Int
    ) throws(JSONFlaw) -> [DesiredRule]? {
        guard let items = try members.items(name) else { return nil }
        guard depth < depthLimit, !items.isEmpty else {
            throw JSONFlaw("'\(path).\(name)' is empty, or nested too deep", at: members.offset)
        }
        var rules: [DesiredRule] = []
        for (index, item) in items.enumerated() {
            rules.append(try DesiredRule(item, path: "\(path).\(name)[\(index)]", depth: depth + 1))
        }
        return rules
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyName.self)
        for (key, texts) in values { try container.encode(texts, forKey: AnyName(key)) }
        try container.encodeIfPresent(all, forKey: AnyName("all"))
        try container.encodeIfPresent(any, forKey: AnyName("any"))
        try container.encodeIfPresent(replication, forKey: AnyName("replication"))
    }

    private struct AnyName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }
}

/// The names that a role's certificate is to have, instead of those of the node's own file.
package struct DesiredRole: Sendable, Equatable, Encodable {
    package var dns: [String]
    /// As text.
    package var addresses: [String]
    package var uris: [String]

    package init(dns: [String] = [], addresses: [String] = [], uris: [String] = []) {
        self.dns = dns
        self.addresses = addresses
        self.uris = uris
    }

    init(_ node: JSONNode, path: String) throws(JSONFlaw) {
        var members = try JSONMembers(node, path: path)
        dns = try members.texts("dns") ?? []
        addresses = try members.texts("addresses") ?? []
        uris = try members.texts("uris") ?? []
        try members.end()
        guard !(dns + addresses + uris).isEmpty else {
            throw JSONFlaw("'\(path)' needs a name under dns, addresses or uris", at: node.offset)
        }
    }
}
