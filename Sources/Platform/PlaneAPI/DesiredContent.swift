/// What an operator writes into the file of `nodeguard-plane desired set`, and what a desired state carries.
package struct DesiredContent: Sendable, Equatable {
    /// The oldest agent that may apply it, such as `1.4.0`; nil: any.
    package var minAgent: String?
    /// Who is refused at every listener and tunnel.
    package var deny: [DesiredDenial]
    /// By name.
    package var listeners: [String: DesiredListener]
    /// By name.
    package var roles: [String: DesiredRole]
    package var reissue: [DesiredOrder]

    package init(
        minAgent: String? = nil, deny: [DesiredDenial] = [], listeners: [String: DesiredListener] = [:],
        roles: [String: DesiredRole] = [:], reissue: [DesiredOrder] = []
    ) {
        self.minAgent = minAgent
        self.deny = deny
        self.listeners = listeners
        self.roles = roles
        self.reissue = reissue
    }

    /// Reads an operator's file.
    package init(reading bytes: [UInt8]) throws(JSONFlaw) {
        var members = try JSONMembers(try JSONNode(reading: bytes), path: "")
        try self.init(&members)
        try members.end()
    }

    init(_ members: inout JSONMembers) throws(JSONFlaw) {
        self.init()
        minAgent = try members.text("min_agent", limit: 64)
        if let minAgent, AgentVersion(minAgent) == nil {
            throw JSONFlaw("'min_agent' is no version such as 1.4.0", at: members.offset)
        }
        for (index, node) in (try members.items("deny", limit: DesiredState.denialLimit) ?? []).enumerated() {
            deny.append(try DesiredDenial(node, path: "deny[\(index)]"))
        }
        for (name, node) in try members.named("listeners") {
            listeners[name] = try DesiredListener(node, path: "listeners.\(name)")
        }
        for (name, node) in try members.named("roles") {
            roles[name] = try DesiredRole(node, path: "roles.\(name)")
        }
        for (index, node) in (try members.items("reissue") ?? []).enumerated() {
            let order = try DesiredOrder(node, path: "reissue[\(index)]")
            guard !reissue.contains(where: { $0.id == order.id }) else {
                throw JSONFlaw("the order '\(order.id)' of 'reissue' is there twice", at: node.offset)
            }
            reissue.append(order)
        }
    }

    /// What a node does that has both: everything that either denies, narrows or orders; names of a role are those of
    /// `own`.
    package func joined(with own: DesiredContent) -> DesiredContent {
        var all = self
        // The newer of two demands.
        let versions = [minAgent, own.minAgent].compactMap { $0 }.compactMap { text in
            AgentVersion(text).map { (text, $0) }
        }
        all.minAgent = versions.max { $0.1 < $1.1 }?.0
        all.deny += own.deny.filter { !deny.contains($0) }
        for (name, listener) in own.listeners {
            all.listeners[name] = all.listeners[name]?.joined(with: listener) ?? listener
        }
        all.roles.merge(own.roles) { $1 }
        all.reissue += own.reissue.filter { order in !reissue.contains { $0.id == order.id } }
        return all
    }
}

extension DesiredContent: Encodable {
    private enum CodingKeys: String, CodingKey {
        case deny, listeners, roles, reissue
        case minAgent = "min_agent"
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(minAgent, forKey: .minAgent)
        if !deny.isEmpty { try container.encode(deny, forKey: .deny) }
        if !listeners.isEmpty { try container.encode(listeners, forKey: .listeners) }
        if !roles.isEmpty { try container.encode(roles, forKey: .roles) }
        if !reissue.isEmpty { try container.encode(reissue, forKey: .reissue) }
    }
}

/// `1.4.0`: three numbers, compared one after the other; what follows a `-` or `+` is not looked at.
package struct AgentVersion: Sendable, Comparable {
    private let numbers: [Int]

    package init?(_ text: String) {
        let parts = text.prefix { $0 != "-" && $0 != "+" }.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in
            part.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(part) : nil
        }
        guard numbers.count == 3, parts.count == 3 else { return nil }
        self.numbers = numbers
    }

    package static func < (left: AgentVersion, right: AgentVersion) -> Bool {
        left.numbers.lexicographicallyPrecedes(right.numbers)
    }
}

/// Who is refused, as a line of a deny list: one key of a certificate and its value, or the serial number with the
/// issuer's name.
package struct DesiredDenial: Sendable, Equatable, Encodable {
    package static let keys = [
        "serial", "spki", "uri", "common-name", "dns", "ip", "email", "organization", "organizational-unit",
    ]

    package let key: String
    package let value: String
    /// Only with `serial`: RFC 2253 text.
    package let issuer: String?

    package init(key: String, value: String, issuer: String? = nil) {
        self.key = key
        self.value = value
        self.issuer = issuer
    }

    init(_ node: JSONNode, path: String) throws(JSONFlaw) {
        var members = try JSONMembers(node, path: path)
        var found: [(String, String)] = []
        for key in Self.keys { if let text = try members.text(key) { found.append((key, text)) } }
        let issuer = try members.text("issuer")
        try members.end()
        guard found.count == 1 else {
            throw JSONFlaw("'\(path)' needs one of \(Self.keys.joined(separator: ", "))", at: node.offset)
        }
        (key, value) = found[0]
        self.issuer = issuer
        guard (key == "serial") == (issuer != nil) else {
            throw JSONFlaw("'\(path)': a serial number counts with its issuer, and nothing else does", at: node.offset)
        }
        // A deny list has one entry a line, without the space around it.
        guard !value.hasPrefix(" "), !value.hasSuffix(" ") else {
            throw JSONFlaw("'\(path).\(key)' begins or ends with a space", at: node.offset)
        }
        let digits = value.replacing(":", with: "")
        if key == "serial", digits.isEmpty || digits.utf8.count > 40 || !digits.allSatisfy(\.isHexDigit) {
            throw JSONFlaw("'\(path).serial' is no hexadecimal serial", at: node.offset)
        }
        let hash = value.dropFirst("sha256:".count)
        if key == "spki", !value.hasPrefix("sha256:") || hash.utf8.count != 64 || !hash.allSatisfy(\.isHexDigit) {
            throw JSONFlaw("'\(path).spki' is not sha256: and 64 hexadecimal digits", at: node.offset)
        }
    }

    /// As a deny list has it.
    package var line: String { issuer.map { "\(key) \(value) \($0)" } ?? "\(key) \(value)" }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(issuer.map { [key: value, "issuer": $0] } ?? [key: value])
    }
}

/// A certificate is to be renewed now, whatever is left of it: once for each id.
package struct DesiredOrder: Sendable, Equatable, Encodable {
    package let id: String
    /// `node` for the node's own identity.
    package let role: String

    package init(id: String, role: String) {
        self.id = id
        self.role = role
    }

    init(_ node: JSONNode, path: String) throws(JSONFlaw) {
        var members = try JSONMembers(node, path: path)
        id = try members.required("id")
        role = try members.required("role")
        try members.end()
        guard Name.isValid(id), Name.isValid(role) else {
            throw JSONFlaw("'\(path)': 'id' and 'role' are names", at: node.offset)
        }
    }
}
