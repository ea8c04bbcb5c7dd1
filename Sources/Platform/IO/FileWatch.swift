import CLinux
import Glibc

/// Watches files that others write, on a lane of its own, and tells when they have changed and have come to rest:
/// written in place, renamed into place, or behind a link that was moved.
///
/// inotify(7) says when to look, and stat(2) whether there is something new, so that whoever reads a file finds it
/// whole. Where the kernel tells nothing (a network's file system, a link's far end) the sweep finds it later.
package actor FileWatch: LaneResident {
    package nonisolated let lane = Lane(label: "files")
    package let poller: Poller
    private let changed: @Sendable () -> Void
    private let notifications: FileNotifications?
    private var machine: FileSettlingStateMachine
    private let sweepInterval: Duration
    private var paths: [String] = []
    /// What is known to whoever was told.
    private var known: [String: FilePrint?] = [:]
    private var token: WatchToken?
    private var turn: TimerToken?
    private var sweep: TimerToken?
    private let origin = ContinuousClock.now
    private var isStopped = false

    /// `changed` is called on the lane and must return at once. Nothing is watched before `watch`.
    package init(
        quiet: Duration = .milliseconds(200), limit: Duration = .seconds(10), sweep: Duration = .seconds(10),
        changed: @escaping @Sendable () -> Void
    ) {
        self.changed = changed
        machine = FileSettlingStateMachine(quiet: quiet, limit: limit)
        sweepInterval = sweep
        poller = Poller(lane: lane)
        notifications = FileNotifications()
    }

    /// These from now on, as they are now.
    package func watch(_ paths: [String]) {
        if isStopped { return }
        self.paths = Array(Set(paths)).sorted()
        known = prints
        notifications?.follow(self.paths)
        if sweep == nil { begin() }
    }

    private func begin() {
        lane.start(self)
        if let notifications {
            token = try? poller.watch(notifications.rawValue, for: .readable, Told { self.read() })
        }
        sweep = poller.schedule(after: sweepInterval, Fired { self.lookAround() })
    }

    /// Tells nothing any more, and lets the lane go.
    package func stop() async {
        isStopped = true
        if let token { poller.unwatch(token) }
        for timer in [turn, sweep] { if let timer { poller.cancel(timer) } }
        (token, turn, sweep) = (nil, nil, nil)
        await lane.stop()
    }

    // MARK: what happens

    private func read() {
        let time = origin.duration(to: .now)
        for event in notifications?.take() ?? [] {
            switch event {
            case .written(let path): machine.written(path, at: time)
            case .closed(let path): machine.closed(path, at: time)
            case .stirred: machine.stirred(at: time)
            }
        }
        settle()
    }

    private func lookAround() {
        if isStopped { return }
        // A folder that was made anew is followed again.
        notifications?.follow(paths)
        if prints != known { machine.stirred(at: origin.duration(to: .now)) }
        settle()
        sweep = poller.schedule(after: sweepInterval, Fired { self.lookAround() })
    }

    private func settle() {
        if isStopped { return }
        if let turn { poller.cancel(turn) }
        turn = nil
        let time = origin.duration(to: .now)
        switch machine.timePassed(to: time) {
        case .rest: break
        case .wait(let moment):
            turn = poller.schedule(after: moment - time, Fired { self.settle() })
        case .look:
            let found = prints
            if found == known { return }
            known = found
            changed()
        }
    }

    private var prints: [String: FilePrint?] {
        Dictionary(paths.map { ($0, FilePrint(of: $0)) }, uniquingKeysWith: { $1 })
    }
}

/// What changes whenever a file does.
private struct FilePrint: Equatable {
    private let device: UInt
    private let number: UInt
    private let size: Int
    private let times: [Int]

    /// nil: there is none.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, number, size) = (UInt(status.st_dev), UInt(status.st_ino), Int(status.st_size))
        times = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }
}

/// Runs a body when a descriptor is ready.
private final class Told: Watcher {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }

    func becameReady(_ readiness: Readiness) { body() }
}

/// Runs a body when a time has come.
private final class Fired: TimerTarget {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }

    func timerFired(_ token: TimerToken) { body() }
}
