/// Limits that change while connections are there: nobody is cut, newcomers are held to the new ones.
extension AdmissionStateMachine {
    /// The most that each budget was ever allowed. Whoever came under one limit may stay while another budget fills up
    /// under a later one, so it is their sum that bounds how many there are.
    struct Capacity {
        private var connections = 0
        private var unauthenticated = 0
        private var reservedConnections = 0
        private var reservedUnauthenticated = 0

        mutating func allow(_ limits: ProxyLimits) {
            connections = max(connections, limits.connections)
            unauthenticated = max(unauthenticated, limits.unauthenticated)
            reservedConnections = max(reservedConnections, limits.reserved.connections)
            reservedUnauthenticated = max(reservedUnauthenticated, limits.reserved.unauthenticated)
        }

        var sum: Int { connections + unauthenticated + reservedConnections + reservedUnauthenticated }
    }

    /// `ofListeners`: by name; those of others stay.
    mutating func limitsChanged(
        to new: ProxyLimits, ofListeners: [String: ProxyLimits.PerListener], at time: Duration
    ) {
        limits = new
        for number in listeners.indices {
            if let own = ofListeners[listeners[number].name] { listeners[number].limits = own }
        }
        handshakes.change(rate: new.handshakesPerSecond)
        if let ban = new.ban { bans.shorten(to: ban.duration, at: time) }
        let (hadAddresses, hadPrefixes) = (addresses != nil, prefixes != nil)
        makeTables()
        count(inAddresses: !hadAddresses, inPrefixes: !hadPrefixes)
    }

    /// A table that is there stays, also where nothing is limited any more: connections hold their places in it.
    mutating func makeTables() {
        most.allow(limits)
        let capacity = most.sum + Self.spare
        addresses?.change(limits.perAddress, capacity: capacity)
        prefixes?.change(limits.perPrefix, capacity: capacity)
        identities?.change(limits.perIdentity, capacity: capacity)
        if addresses == nil, !limits.perAddress.isOff || limits.ban != nil {
            addresses = KeyedBudgets(limits.perAddress, capacity: capacity) { .address($0) }
        }
        if prefixes == nil, !limits.perPrefix.isOff {
            prefixes = KeyedBudgets(limits.perPrefix, capacity: capacity) { .prefix($0) }
        }
        if identities == nil, !limits.perIdentity.isOff {
            identities = KeyedBudgets(limits.perIdentity, capacity: capacity) { .identity($0.name) }
        }
    }

    /// Whoever is there, in tables that are new: the silent in their order. Identities are not known of those whom
    /// nobody has asked for them.
    private mutating func count(inAddresses: Bool, inPrefixes: Bool) {
        let silent = order.places(in: silent)
        let others = places.values.filter { connections[$0].budget != .silent }
        for place in silent + others {
            guard let network = connections[place].client.network else { continue }
            if inAddresses { connections[place].address = addresses?.count(connections[place], place, network) }
            if inPrefixes { connections[place].prefix = prefixes?.count(connections[place], place, network.prefix) }
        }
    }
}

extension KeyedBudgets {
    /// The place that it has from now on.
    fileprivate mutating func count(
        _ connection: AdmissionStateMachine.Connection, _ number: Int, _ key: Key
    ) -> Int {
        let place = place(of: key)
        hold(place)
        switch connection.budget {
        case .silent: joined(number, place)
        case .authenticated: authenticated(place, by: 1)
        case .reservedSilent, .reservedAuthenticated: break
        }
        return place
    }
}
