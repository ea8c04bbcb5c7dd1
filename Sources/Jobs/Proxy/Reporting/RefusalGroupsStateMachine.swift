/// Which refusals of strangers become events: of those that have a listener, a reason and an address prefix in common
/// one a second, with their count. And no flood fills the spool, however many prefixes it comes from: in the long run
/// there is one event a second, and groups wait for their turn while they go on counting.
struct RefusalGroupsStateMachine<Group: Hashable> {
    /// A day of them is under 100 MiB, at 1 KiB each.
    static var eventsAtOnce: Int { 600 }
    static var eventInterval: Duration { .seconds(1) }
    /// Groups that are counted apart.
    static var groupLimit: Int { 256 }
    /// A group is told of so often at most.
    static var window: Duration { .seconds(1) }
    /// What finds no place among the groups is told of so often at most.
    static var restWindow: Duration { .seconds(60) }

    enum Action: Equatable {
        /// The first of its group.
        case report
        /// It is told of with others.
        case count
    }

    struct Sum: Equatable {
        /// nil: of many, which found no place.
        let group: Group?
        let count: Int
    }

    private struct Tally {
        /// Not told of yet.
        var count: Int
        /// When the group came, or was last told of.
        var since: Duration
    }

    private var groups: [Group: Tally] = [:]
    private var rest = Tally(count: 0, since: .zero)
    private var allowance = Self.eventsAtOnce
    private var refilled = Duration.zero

    mutating func refused(_ group: Group, at time: Duration) -> Action {
        if groups[group] != nil {
            groups[group]?.count += 1
            return .count
        }
        guard groups.count < Self.groupLimit else {
            if rest.count == 0 { rest.since = time }
            rest.count += 1
            return .count
        }
        let isTold = spend(at: time)
        groups[group] = Tally(count: isTold ? 0 : 1, since: time)
        return isTold ? .report : .count
    }

    /// Once a second: what is to be told of now, those first that have waited longest.
    mutating func ticked(at time: Duration) -> [Sum] {
        var sums: [Sum] = []
        if rest.count > 0, time - rest.since >= Self.restWindow, spend(at: time) {
            sums.append(Sum(group: nil, count: rest.count))
            rest.count = 0
        }
        let due = groups.filter { time - $0.value.since >= Self.window }.sorted { $0.value.since < $1.value.since }
        for (group, tally) in due {
            if tally.count == 0 {
                groups[group] = nil
            } else if spend(at: time) {
                sums.append(Sum(group: group, count: tally.count))
                groups[group] = Tally(count: 0, since: time)
            }
        }
        return sums
    }

    /// An event that belongs to no group, but that strangers cause too; false: it is left out.
    mutating func spend(at time: Duration) -> Bool {
        let due = Int((time - refilled) / Self.eventInterval)
        if due > 0 {
            allowance = min(Self.eventsAtOnce, allowance + due)
            refilled += Self.eventInterval * due
        }
        guard allowance > 0 else { return false }
        allowance -= 1
        return true
    }

    /// Everything that was not told of yet.
    mutating func ended() -> [Sum] {
        var sums = groups.filter { $0.value.count > 0 }.map { Sum(group: $0.key, count: $0.value.count) }
        if rest.count > 0 { sums.append(Sum(group: nil, count: rest.count)) }
        (groups, rest.count) = ([:], 0)
        return sums
    }
}
