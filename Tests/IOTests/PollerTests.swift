import Glibc
import Synchronization
import TestSupport
import Testing

@testable import IO

/// Two ends of a unix stream connection; both are closed with it.
final class SocketPair {
    private(set) var ends: [Int32] = [-1, -1]

    init() throws {
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { throw IOError("socketpair") }
    }

    deinit { for index in ends.indices { closeEnd(index) } }

    func closeEnd(_ index: Int) {
        if ends[index] >= 0 { close(ends[index]) }
        ends[index] = -1
    }

    func makeReadable() { _ = write(ends[1], "x", 1) }
}

private final class Seen: Watcher, TimerTarget {
    private(set) var readiness: [Readiness] = []
    private(set) var timers: [TimerToken] = []
    private let react: (Seen) -> Void

    init(_ react: @escaping (Seen) -> Void = { _ in }) { self.react = react }

    func becameReady(_ readiness: Readiness) {
        self.readiness.append(readiness)
        react(self)
    }

    func timerFired(_ token: TimerToken) {
        timers.append(token)
        react(self)
    }
}

/// Polled by the test itself: its lane has no resident.
@Suite struct `Polling` {
    private let poller = Poller(lane: Lane(label: "poller"))

    @Test func `tells of an edge once, and again when more has come`() throws {
        let pair = try SocketPair()
        let seen = Seen()
        let token = try poller.watch(pair.ends[0], for: .readable, seen)
        pair.makeReadable()
        #expect(poller.poll(timeout: 0) == 1)
        #expect(poller.poll(timeout: 0) == 0)
        pair.makeReadable()
        #expect(poller.poll(timeout: 0) == 1)
        #expect(seen.readiness == [.readable, .readable])
        poller.unwatch(token)
    }

    @Test func `tells by level as long as it holds, of what was asked for last`() throws {
        let pair = try SocketPair()
        let seen = Seen()
        let token = try poller.watch(pair.ends[0], level: .readable, seen)
        pair.makeReadable()
        #expect(poller.poll(timeout: 0) == 1)
        #expect(poller.poll(timeout: 0) == 1)
        #expect(poller.change(token, level: .writable))
        _ = poller.poll(timeout: 0)
        #expect(seen.readiness == [.readable, .readable, .writable])
        #expect(poller.change(token, level: []))
        #expect(poller.poll(timeout: 0) == 0)
        pair.closeEnd(0)
        #expect(!poller.change(token, level: .readable))
        poller.unwatch(token)
    }

    @Test func `drops an event of a descriptor whose slot another has got since`() throws {
        let first = try SocketPair()
        let second = try SocketPair()
        let quiet = try SocketPair()
        var tokens: [Int32: WatchToken] = [:]
        let newcomer = Seen()
        // Both are ready in one wait; whichever is told first takes the other's slot away.
        for (mine, other) in [(first, second), (second, first)] {
            let watcher = Seen { [poller] _ in
                guard let token = tokens.removeValue(forKey: other.ends[0]) else { return }
                poller.unwatch(token)
                other.closeEnd(0)
                tokens[quiet.ends[0]] = try? poller.watch(quiet.ends[0], for: .readable, newcomer)
            }
            tokens[mine.ends[0]] = try poller.watch(mine.ends[0], for: .readable, watcher)
        }
        first.makeReadable()
        second.makeReadable()
        #expect(poller.poll(timeout: 0) == 1)
        #expect(newcomer.readiness.isEmpty)
        #expect(poller.watchCount == 2)
        quiet.makeReadable()
        #expect(poller.poll(timeout: 0) == 1)
        #expect(newcomer.readiness == [.readable])
        for token in tokens.values { poller.unwatch(token) }
        #expect(poller.watchCount == 0)
    }

    @Test func `tells that a peer is gone, and that it has only ended its side`() throws {
        let gone = try SocketPair()
        let ended = try SocketPair()
        let ofGone = Seen()
        let ofEnded = Seen()
        let tokens = [try poller.watch(gone.ends[0], ofGone), try poller.watch(ended.ends[0], ofEnded)]
        _ = poller.poll(timeout: 0)
        gone.closeEnd(1)
        shutdown(ended.ends[1], Int32(SHUT_WR))
        _ = poller.poll(timeout: 0)
        #expect(ofGone.readiness.last?.contains(.hungUp) == true)
        #expect(ofEnded.readiness.last?.isSuperset(of: [.hungUp, .readable, .writable]) == true)
        for token in tokens { poller.unwatch(token) }
    }

    @Test func `lets a watcher go with its watch`() throws {
        let pair = try SocketPair()
        weak var seen: Seen?
        let token: WatchToken
        do {
            let watcher = Seen()
            seen = watcher
            token = try poller.watch(pair.ends[0], watcher)
        }
        #expect(seen != nil)
        poller.unwatch(token)
        #expect(seen == nil)
    }

    @Test func `throws when it is given what cannot be watched, and keeps nothing of it`() {
        #expect(throws: IOError("watch descriptor 1000000", code: EBADF)) {
            _ = try poller.watch(1_000_000, Seen())
        }
        #expect(poller.watchCount == 0)
    }

    @Test func `fires no timer that another of the same moment has cancelled`() {
        var tokens: [TimerToken] = []
        let target = Seen { [poller] seen in
            for token in tokens where token != seen.timers.first { poller.cancel(token) }
        }
        for _ in 0..<2 { tokens.append(poller.schedule(after: .nanoseconds(1), target)) }
        let deadline = ContinuousClock.now + .seconds(5)
        while target.timers.isEmpty, ContinuousClock.now < deadline { _ = poller.poll(timeout: 0) }
        _ = poller.poll(timeout: 0)
        #expect(target.timers.count == 1)
    }

    @Test func `takes new timers and watches while it tells of others`() throws {
        let pair = try SocketPair()
        let late = Seen()
        let early = Seen { [poller] _ in _ = poller.schedule(after: .zero, late) }
        let token = try poller.watch(pair.ends[0], for: .readable, early)
        pair.makeReadable()
        let deadline = ContinuousClock.now + .seconds(5)
        while late.timers.isEmpty, ContinuousClock.now < deadline { _ = poller.poll(timeout: 0) }
        #expect(late.timers.count == 1)
        poller.unwatch(token)
    }
}

private final class Echo: Watcher {
    private let seen: @Sendable (Readiness) -> Void
    init(_ seen: @escaping @Sendable (Readiness) -> Void) { self.seen = seen }
    func becameReady(_ readiness: Readiness) { seen(readiness) }
}

private actor Resident: LaneResident {
    nonisolated let lane = Lane(label: "cold")
    let poller: Poller
    init() {
        poller = Poller(lane: lane)
        lane.start(self)
    }
    func watch(_ descriptor: Int32, _ seen: @escaping @Sendable (Readiness) -> Void) throws -> WatchToken {
        try poller.watch(descriptor, Echo(seen))
    }
    func unwatch(_ token: WatchToken) { poller.unwatch(token) }
}

@Suite struct `A cold lane` {
    @Test func `is told of new bytes and of the peer's end`() async throws {
        let pair = try SocketPair()
        let resident = Resident()
        let seen = Mutex<[Readiness]>([])
        let token = try await resident.watch(pair.ends[0]) { readiness in seen.withLock { $0.append(readiness) } }
        let alarm = Alarm(label: "poller")
        for round in 0..<3 {
            // Well over the spell after which a lane goes cold.
            _ = await alarm.wait(for: .milliseconds(50))
            seen.withLock { $0 = [] }
            if round < 2 { pair.makeReadable() } else { shutdown(pair.ends[1], Int32(SHUT_WR)) }
            let expected: Readiness = round < 2 ? .readable : .hungUp
            #expect(await eventually(within: 60) { seen.withLock { $0.contains { $0.contains(expected) } } })
        }
        await resident.unwatch(token)
        await resident.lane.stop()
    }
}
