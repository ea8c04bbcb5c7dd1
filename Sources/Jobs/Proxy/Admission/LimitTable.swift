/// Counts by key, of a fixed size and with every step in constant time: an entry that nobody holds waits in a line, out
/// of which the one that was left alone longest gives its place to a new key.
///
/// The capacity must be more than are ever held at a time.
struct LimitTable<Key: Hashable & Sendable> {
    struct Entry {
        fileprivate(set) var key: Key
        /// Connections that are not proven yet, the silent longest first.
        var silent = PlaceLists.List()
        var authenticated = 0
        var arrivals: TokenBucket?
        var failures = 0
        var failuresSince = Duration.zero
        fileprivate var holders = 0
    }

    private var capacity: Int
    private var rate: Int?
    private var entries: [Entry] = []
    private var places: [Key: Int] = [:]
    private var order = PlaceLists()
    private var idle = PlaceLists.List()

    /// `rate`: of each key, in a second.
    init(capacity: Int, rate: Int?) {
        self.capacity = capacity
        self.rate = rate
    }

    var count: Int { entries.count }

    subscript(place: Int) -> Entry {
        get { entries[place] }
        _modify { yield &entries[place] }
    }

    /// Never shrinks: those that are held keep their places.
    mutating func change(capacity new: Int, rate newRate: Int?) {
        capacity = max(capacity, new)
        if newRate == rate { return }
        rate = newRate
        for place in entries.indices {
            guard let newRate else {
                entries[place].arrivals = nil
                continue
            }
            if entries[place].arrivals == nil { entries[place].arrivals = TokenBucket(rate: newRate) }
            entries[place].arrivals?.change(rate: newRate)
        }
    }

    /// Its place, which is its own as long as it is held.
    mutating func place(of key: Key) -> Int {
        if let known = places[key] {
            if entries[known].holders == 0 { order.moveToEnd(known, of: &idle) }
            return known
        }
        let entry = Entry(key: key, arrivals: rate.map { TokenBucket(rate: $0) })
        let place: Int
        if entries.count < capacity {
            place = entries.count
            entries.append(entry)
        } else {
            guard let oldest = idle.front else { preconditionFailure("more entries are held than there is room for") }
            order.remove(oldest, from: &idle)
            places[entries[oldest].key] = nil
            entries[oldest] = entry
            place = oldest
        }
        places[key] = place
        order.append(place, to: &idle)
        return place
    }

    /// Once for each connection.
    mutating func hold(_ place: Int) {
        entries[place].holders += 1
        if entries[place].holders == 1 { order.remove(place, from: &idle) }
    }

    mutating func release(_ place: Int) {
        entries[place].holders -= 1
        if entries[place].holders == 0 { order.append(place, to: &idle) }
    }
}
