import Proxy
import Reports
import Testing

@testable import nodeguard

/// The texts were given to nft(8).
@Suite struct `The commands for the packet filter` {
    @Test func `replace what was there in one transaction, each ban with its end`() throws {
        let bans = try [("203.0.113.7", 90), ("2001:db8::/64", 5), ("203.0.113.9", 1)].map { text, seconds in
            (network: try #require(PeerNetwork(text)), seconds: Int64(seconds))
        }
        #expect(
            PacketFilterCommands(bans: bans, ports: [9042, 5433, 5433]).text == """
                table inet nodeguard {
                  set bans4 { type ipv4_addr; flags interval, timeout; size 8192; }
                  set bans6 { type ipv6_addr; flags interval, timeout; size 8192; }
                  chain bans { type filter hook input priority filter - 5; policy accept; }
                }
                flush chain inet nodeguard bans
                flush set inet nodeguard bans4
                flush set inet nodeguard bans6
                add rule inet nodeguard bans tcp flags & (syn | ack) == syn tcp dport { 5433, 9042 } \
                ip saddr @bans4 counter drop
                add rule inet nodeguard bans tcp flags & (syn | ack) == syn tcp dport { 5433, 9042 } \
                ip6 saddr @bans6 counter drop
                add element inet nodeguard bans4 { 203.0.113.7/32 timeout 90s, 203.0.113.9/32 timeout 1s }
                add element inet nodeguard bans6 { 2001:db8::/64 timeout 5s }
                """)
    }

    @Test func `leave nothing where nobody is banned and nothing listens`() {
        let text = PacketFilterCommands(bans: [], ports: []).text
        #expect(text.hasSuffix("flush set inet nodeguard bans6"))
        #expect(!text.contains("add "))
    }

    @Test func `keep out neither a reserved network nor a proxy before a listener`() throws {
        let configuration = try NodeConfiguration.parse(
            """
            node: { name: db-1 }
            certificates: { roles: [ { name: own, files: { chain: /c, key: /k } } ] }
            proxy:
              limits: { reserved: { networks: ["2001:db8::10"] } }
              listeners:
                - name: a
                  listen: "127.0.0.1:5433"
                  protocol: tcp
                  backend: "127.0.0.1:1"
                  certificate: own
                  trust: ["file:/ca.pem"]
                  accept-proxy-protocol: [10.0.0.0/28]
            """, path: "test")
        let bans: [JSONValue] = ["2001:db8::/64", "10.0.0.5/32", "203.0.113.7/32"].map {
            .object(["network": .string($0), "seconds_left": .count(60)])
        }
        let text = BansCommand.List.commands(.object(["bans": .array(bans)]), configuration).text
        #expect(text.contains("203.0.113.7/32 timeout 60s"))
        #expect(!text.contains("2001:db8::/64") && !text.contains("10.0.0.5"), "\(text)")
    }
}
