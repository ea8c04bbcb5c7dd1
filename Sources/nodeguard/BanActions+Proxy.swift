import Proxy
import Reports
import Status

extension BanActions {
    /// Of the node's proxy.
    init(_ proxy: DatabaseProxy) {
        self.init(
            list: { ["bans": .array(proxy.bans.map(\.document))] },
            lift: { text in
                guard let text else { return .done(["lifted": .count(proxy.liftBans(nil))]) }
                guard let network = PeerNetwork(text) else {
                    return .refused("'\(text)' is neither an address nor a network")
                }
                let count = proxy.liftBans(network)
                return count == 0 ? .unknown("there is no ban of \(network)") : .done(["lifted": .count(count)])
            })
    }
}

extension BanSummary {
    fileprivate var document: JSONValue {
        [
            "network": .string(network), "listener": .string(listener), "reason": .string(reason),
            "since": .string(since.description), "until": .string(until.description),
            "seconds_left": .count(secondsLeft),
        ]
    }
}
