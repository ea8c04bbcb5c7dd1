import Proxy

/// `proxy-protocol` and `accept-proxy-protocol` of a listener: whether its database is told who the client is, and from
/// whom the listener lets itself be told.
struct ProxyProtocolSection: Sendable, Equatable {
    enum Version: String, Sendable, CaseIterable { case off, v2 }

    let sent: Version
    let accepted: [PeerNetwork]
    let acknowledgesAnyProxy: Bool

    static func read(_ section: Section) -> ProxyProtocolSection {
        let sent = section.value("proxy-protocol", Form<Version>.word("version of the PROXY protocol")) ?? .off
        let key = "accept-proxy-protocol"
        let accepted = section.list(key, .network, isRequired: section.has(key)) ?? []
        let acknowledges = section.value("acknowledge-any-proxy", .flag) ?? false
        for network in accepted where network.value.isOfEverybody && !acknowledges {
            section.add(
                "\(network.value) lets every client say that it is another: write the networks of the proxies before "
                    + "this listener, or add 'acknowledge-any-proxy: yes' if nobody else can reach it",
                at: network.position)
        }
        return ProxyProtocolSection(
            sent: sent, accepted: accepted.map(\.value), acknowledgesAnyProxy: acknowledges)
    }

    var shown: ConfigurationText.Members {
        let from: ConfigurationText.Members =
            accepted.isEmpty ? [] : [("accept-proxy-protocol", .list(accepted.map(\.description)))]
        let acknowledged: ConfigurationText.Members =
            acknowledgesAnyProxy ? [("acknowledge-any-proxy", .text("yes"))] : []
        return [("proxy-protocol", .text(sent.rawValue))] + from + acknowledged
    }
}
