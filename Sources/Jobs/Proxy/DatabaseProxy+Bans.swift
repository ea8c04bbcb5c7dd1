import Reports

/// An address that is refused for a while, as operators see it.
package struct BanSummary: Sendable, Equatable {
    package let network: String
    /// Where it failed last, and how.
    package let listener: String
    package let reason: String
    package let since: Timestamp
    package let until: Timestamp
    package let secondsLeft: Int64
}

extension DatabaseProxy {
    /// Those in force, the one that ends first in front.
    package var bans: [BanSummary] {
        let now = Timestamp.now
        return house.admission.bans.map { ban, left in
            let until = Timestamp(nanoseconds: now.nanoseconds + Int64(left / .nanoseconds(1)))
            let length = Int64((ban.until - ban.began) / .nanoseconds(1))
            return BanSummary(
                network: ban.network.description, listener: house.name(ofListener: ban.listener),
                reason: ban.reason.rawValue, since: Timestamp(nanoseconds: until.nanoseconds - length), until: until,
                secondsLeft: left.wholeSeconds)
        }
    }

    /// Lifts those inside of a network, and those that it is inside of; nil: all. How many they were.
    package func liftBans(_ network: PeerNetwork?) -> Int {
        let events = house.admission.liftBans(network)
        house.report(events)
        publishStatus()
        return events.count
    }
}
