import FoundationEssentials

/// Something that the plane granted, refused or did: who, what, about whom, and how it ended. Never a secret.
struct PlaneEvent: Sendable {
    /// `token.create`, `key.unwrap`, …
    let name: String
    let actor: Actor
    var outcome = Outcome.granted
    var cluster: String?
    var node: String?
    /// Of a refusal.
    var reason: String?
    let detail: String
    /// How many times, where one event stands for several.
    var count: Int64 = 1

    enum Outcome: String, Sendable { case granted, refused }

    /// Who acted. A node is the one of the certificate with this serial number.
    enum Actor: Sendable, Hashable {
        case person(Operator)
        case node(serial: String)
        /// Who has no certificate of ours; it may have a token.
        case stranger
        case plane
    }

    /// In bytes; a role may have many names.
    static let detailLimit = 4096

    private var shortDetail: String {
        guard detail.utf8.count > Self.detailLimit else { return detail }
        return String(decoding: detail.utf8.prefix(Self.detailLimit), as: UTF8.self) + "…"
    }

    /// The text that is hashed: as a node's events are, with `plane` instead of node and epoch.
    func canonicalText(seq: UInt64, plane: String, at time: Int64) -> String {
        var fields: [String: CanonicalJSON] = [
            "detail": .string(shortDetail)
        ]
        fields["cluster"] = cluster.map(CanonicalJSON.string)
        fields["node"] = node.map(CanonicalJSON.string)
        fields["reason"] = reason.map(CanonicalJSON.string)
        if count > 1 { fields["count"] = .integer(count) }
        switch actor {
        case .person(let person):
            fields["operator"] = .string(person.name)
            fields["uid"] = .integer(person.uid)
            fields["by"] = .string("operator")
        case .node(let serial):
            fields["serial"] = .string(serial)
            fields["by"] = .string("node")
        case .stranger: fields["by"] = .string("stranger")
        case .plane: fields["by"] = .string("plane")
        }
        return CanonicalJSON(sorting: [
            "fields": CanonicalJSON(sorting: fields), "name": .string(name), "outcome": .string(outcome.rawValue),
            "plane": .string(plane), "seq": .integer(Int64(clamping: seq)), "time": .string(UnixTime.text(time)),
        ]).jsonText
    }
}
