import IO
import Synchronization

/// Looks a tunnel's remote host up, on a queue of its own: a resolver may take its time.
///
/// Safe from any thread. Who waits is a connection or a probe, so as many as there are of these.
final class RemoteLookup: Sendable {
    typealias Resolver = @Sendable (String) throws(IOError) -> [SocketAddress]

    private struct State {
        var machine = LookupStateMachine()
        var waiters: [@Sendable () -> Void] = []
        var failure: String?
    }

    private let remote: String
    private let queue: SerialQueue
    private let resolve: Resolver
    /// Told what was found; not told when nothing was: what was found before may still be right.
    private let found: @Sendable ([SocketAddress]) -> Void
    private let origin = ContinuousClock.now
    private let state = Mutex(State())

    init(
        _ remote: String, label: String, resolve: @escaping Resolver = SocketAddress.resolve,
        found: @escaping @Sendable ([SocketAddress]) -> Void
    ) {
        self.remote = remote
        self.resolve = resolve
        self.found = found
        queue = SerialQueue(label: label, isPatient: true)
    }

    /// Why the last lookup found nothing.
    var failure: String? { state.withLock { $0.failure } }

    /// `done` comes once, perhaps before this returns, on any thread.
    func ask(_ done: @escaping @Sendable () -> Void) {
        let action = state.withLock { state in
            let action = state.machine.asked(at: now)
            if action != .proceed { state.waiters.append(done) }
            return action
        }
        switch action {
        case .proceed: done()
        case .wait: break
        case .begin: queue.submit { [self] in lookUp() }
        }
    }

    /// For probes: nobody may have connected for long.
    func refresh(every interval: Duration) {
        if state.withLock({ $0.machine.isDue(every: interval, at: now) }) { ask {} }
    }

    private func lookUp() {
        var failure: String?
        do throws(IOError) { found(try resolve(remote)) } catch { failure = error.description }
        let waiters = state.withLock { state in
            state.machine.ended(at: now)
            state.failure = failure
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter() }
    }

    private var now: Duration { ContinuousClock.now - origin }
}
