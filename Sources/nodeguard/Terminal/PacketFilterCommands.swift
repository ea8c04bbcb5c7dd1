import Proxy

/// What nft(8) has to do so that the kernel drops new connections of the banned: one transaction, which may be run
/// again and again. Each entry ends by itself, so that nobody stays out when nobody runs it any more.
struct PacketFilterCommands {
    private struct Family {
        let set: String
        let type: String
        let word: String
    }

    private static let families = [
        Family(set: "bans4", type: "ipv4_addr", word: "ip"), Family(set: "bans6", type: "ipv6_addr", word: "ip6"),
    ]

    let bans: [(network: PeerNetwork, seconds: Int64)]
    /// Of the listeners; other ports are not nodeguard's affair.
    let ports: [UInt16]

    var text: String {
        var lines = ["table inet nodeguard {"]
        for family in Self.families {
            lines.append("  set \(family.set) { type \(family.type); flags interval, timeout; size 8192; }")
        }
        lines.append("  chain bans { type filter hook input priority filter - 5; policy accept; }")
        lines += ["}", "flush chain inet nodeguard bans"]
        lines += Self.families.map { "flush set inet nodeguard \($0.set)" }
        if !ports.isEmpty { lines += Self.families.map { rule(of: $0) } }
        lines += Self.families.compactMap { elements(of: $0) }
        return lines.joined(separator: "\n")
    }

    /// Live sessions stay: only what begins a connection is dropped.
    private func rule(of family: Family) -> String {
        let list = Set(ports).sorted().map { String($0) }.joined(separator: ", ")
        let match = "tcp flags & (syn | ack) == syn tcp dport { \(list) } \(family.word) saddr @\(family.set)"
        return "add rule inet nodeguard bans \(match) counter drop"
    }

    private func elements(of family: Family) -> String? {
        let meant = bans.filter { $0.network.description.contains(":") == (family.word == "ip6") }
        if meant.isEmpty { return nil }
        let list = meant.map { "\($0.network) timeout \($0.seconds)s" }.joined(separator: ", ")
        return "add element inet nodeguard \(family.set) { \(list) }"
    }
}
