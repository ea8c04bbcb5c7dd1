import CLinux
import Glibc

/// What a descriptor is ready for.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    package static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The peer has shut down its side, or the connection is gone altogether (EPOLLHUP implies it here).
    package static let hungUp = Readiness(rawValue: EPOLLRDHUP.rawValue)
    package static let failed = Readiness(rawValue: EPOLLERR.rawValue)
}

package protocol Watcher: AnyObject {
    func becameReady(_ readiness: Readiness)
}

package protocol TimerTarget: AnyObject {
    func timerFired(_ token: TimerToken)
}

package struct WatchToken: Hashable, Sendable {
    let key: UInt64
    let descriptor: Int32
}

package enum Interest: Sendable {
    case readable, both
}

/// The readiness of a lane's descriptors, edge-triggered, and its timers. Lives in the lane's resident actor.
///
/// A descriptor is registered once for its life; await readiness only after a call would have blocked. A stale event,
/// whose slot has been given to another descriptor since, drops out by its generation.
package final class Poller {
    static let bellKey = UInt64.max
    static let timerKey = UInt64.max - 1
    /// Events that one wait may bring; the rest comes with the next.
    private static let eventLimit = 256

    private struct Slot {
        var generation: UInt32 = 0
        var watcher: (any Watcher)?
    }

    private let lane: Lane
    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var timers = TimerHeap()
    private let events: UnsafeMutablePointer<epoll_event>
    private var armed: ContinuousClock.Instant?

    /// Read once per wake-up: deadlines of thousands of connections need no clock call each.
    package private(set) var now = ContinuousClock.now

    package init(lane: Lane) {
        self.lane = lane
        events = .allocate(capacity: Self.eventLimit)
    }

    deinit { events.deallocate() }

    /// `watcher` is kept until `unwatch`.
    package func watch(
        _ descriptor: Int32, for interest: Interest = .both, _ watcher: any Watcher
    ) throws(IOError) -> WatchToken {
        let edges = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        return try add(descriptor, interest == .both ? edges | EPOLLOUT.rawValue : edges, watcher)
    }

    /// Level-triggered, for a library that reads as much as it likes and expects to be told again (libcurl's
    /// curl_multi_socket_action(3)).
    package func watch(
        _ descriptor: Int32, level readiness: Readiness, _ watcher: any Watcher
    ) throws(IOError) -> WatchToken {
        try add(descriptor, readiness.rawValue, watcher)
    }

    /// Only for descriptors that are watched by level. False if the descriptor was closed since, and its number perhaps
    /// given to another.
    package func change(_ token: WatchToken, level readiness: Readiness) -> Bool {
        var event = epoll_event()
        event.events = readiness.rawValue
        event.data.u64 = token.key
        return epoll_ctl(lane.epoll, EPOLL_CTL_MOD, token.descriptor, &event) == 0
    }

    private func add(_ descriptor: Int32, _ events: UInt32, _ watcher: any Watcher) throws(IOError) -> WatchToken {
        let index = freeSlots.popLast() ?? slots.count
        if index == slots.count { slots.append(Slot()) }
        slots[index].watcher = watcher
        let key = UInt64(slots[index].generation) << 32 | UInt64(index)
        var event = epoll_event()
        event.events = events
        event.data.u64 = key
        guard epoll_ctl(lane.epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            let error = IOError("watch descriptor \(descriptor)")
            release(index)
            throw error
        }
        return WatchToken(key: key, descriptor: descriptor)
    }

    /// Before the descriptor is closed, never after: its number may be another's by then.
    package func unwatch(_ token: WatchToken) {
        let index = Int(token.key & 0xFFFF_FFFF)
        precondition(slots[index].generation == UInt32(token.key >> 32), "unwatched twice")
        epoll_ctl(lane.epoll, EPOLL_CTL_DEL, token.descriptor, nil)
        release(index)
    }

    private func release(_ index: Int) {
        slots[index].watcher = nil
        slots[index].generation &+= 1
        freeSlots.append(index)
    }

    package func schedule(after delay: Duration, _ target: any TimerTarget) -> TimerToken {
        let token = timers.add(deadline: ContinuousClock.now + delay, target)
        arm()
        return token
    }

    package func cancel(_ token: TimerToken) { timers.cancel(token) }

    /// Descriptors that are watched now.
    package var watchCount: Int { slots.count - freeSlots.count }

    /// Waits at most `timeout` milliseconds, then hands out what happened; how many watchers and timers were told.
    func poll(timeout: Int32) -> Int {
        let ready = retrying { epoll_wait(lane.epoll, events, Int32(Self.eventLimit), timeout) }
        now = .now
        if timeout > 0 { lane.becameAwake(at: now) }
        var told = 0
        for index in 0..<Int(max(0, ready)) {
            let event = events[index]
            switch event.data.u64 {
            case Self.bellKey: Self.drain(lane.bell)
            case Self.timerKey:
                Self.drain(lane.timer)
                armed = nil
            case let key:
                let slot = slots[Int(key & 0xFFFF_FFFF)]
                guard slot.generation == UInt32(key >> 32), let watcher = slot.watcher else { continue }
                told += 1
                let isGone = event.events & EPOLLHUP.rawValue != 0
                watcher.becameReady(Readiness(rawValue: event.events | (isGone ? EPOLLRDHUP.rawValue : 0)))
            }
        }
        while let (token, target) = timers.popDue(now) {
            told += 1
            target.timerFired(token)
        }
        arm()
        return told
    }

    /// Lets the lane's timer descriptor fire at the earliest deadline: one for all, hot or cold.
    private func arm() {
        guard let next = timers.earliest, armed.map({ next < $0 }) ?? true else { return }
        let wait = max(.nanoseconds(1), ContinuousClock.now.duration(to: next))
        CLinux_arm(
            lane.timer, Int(wait.components.seconds), Int(wait.components.attoseconds / 1_000_000_000))
        armed = next
    }

    static func drain(_ descriptor: Int32) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}
