/// The budgets of each key of one kind: of each address, of each prefix, of each identity.
struct KeyedBudgets<Key: Hashable & Sendable> {
    private var limits: ProxyLimits.PerKey
    private let holder: @Sendable (Key) -> Excess.Holder
    private var table: LimitTable<Key>
    private var silence = PlaceLists()

    init(_ limits: ProxyLimits.PerKey, capacity: Int, of holder: @escaping @Sendable (Key) -> Excess.Holder) {
        self.limits = limits
        self.holder = holder
        table = LimitTable(capacity: capacity, rate: limits.rate)
    }

    mutating func change(_ new: ProxyLimits.PerKey, capacity: Int) {
        limits = new
        table.change(capacity: capacity, rate: new.rate)
    }

    /// Keys that are remembered.
    var count: Int { table.count }

    mutating func place(of key: Key) -> Int { table.place(of: key) }

    /// Takes a token; throws, if there is none, or if no connection of the key could be proven anyway.
    mutating func arrived(
        _ key: Key, at time: Duration, judgesConnections: Bool = true
    ) throws(Excess) -> Int {
        let place = table.place(of: key)
        if judgesConnections { try checkConnections(place) }
        if let rate = limits.rate, table[place].arrivals?.reserve(at: time, within: .zero) == nil {
            throw excess(.rate, rate, place)
        }
        return place
    }

    func checkConnections(_ place: Int) throws(Excess) {
        guard let limit = limits.connections, table[place].authenticated >= limit else { return }
        throw excess(.connections, limit, place)
    }

    /// Who has to go before another may come: the connection that has been silent longest.
    func overdue(_ place: Int) -> (connection: Int, excess: Excess)? {
        guard let limit = limits.unauthenticated, table[place].silent.count >= limit,
            let connection = table[place].silent.front
        else { return nil }
        return (connection, excess(.unauthenticated, limit, place))
    }

    private func excess(_ measure: Excess.Measure, _ limit: Int, _ place: Int) -> Excess {
        .budget(holder(table[place].key), measure, limit: limit)
    }

    // MARK: what connections do

    mutating func hold(_ place: Int) { table.hold(place) }
    mutating func release(_ place: Int) { table.release(place) }

    mutating func joined(_ connection: Int, _ place: Int) { silence.append(connection, to: &table[place].silent) }
    mutating func spoke(_ connection: Int, _ place: Int) { silence.moveToEnd(connection, of: &table[place].silent) }
    mutating func left(_ connection: Int, _ place: Int) { silence.remove(connection, from: &table[place].silent) }

    mutating func authenticated(_ place: Int, by change: Int) { table[place].authenticated += change }

    /// True when that was one failure too many.
    mutating func failed(_ place: Int, at time: Duration, _ ban: ProxyLimits.Ban) -> Bool {
        if time - table[place].failuresSince > ban.within {
            (table[place].failures, table[place].failuresSince) = (0, time)
        }
        table[place].failures += 1
        guard table[place].failures >= ban.failures else { return false }
        table[place].failures = 0
        return true
    }
}
