import CSystemd
import Glibc

/// systemd, as the service manager that started this process (sd_notify(3)). Without one every call does nothing.
///
/// Safe from any thread: libsystemd opens a datagram socket for each call and keeps no state.
package struct ServiceManager: Sendable {
    package init() {}

    package var isPresent: Bool { getenv("NOTIFY_SOCKET") != nil }

    /// How often systemd expects a ping; nil if the unit has no `WatchdogSec=` or it is meant for another process.
    package var watchdogInterval: Duration? {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0 else { return nil }
        return .microseconds(Int64(clamping: microseconds))
    }

    package func ready(_ status: String) { notify("READY=1\nSTATUS=\(Self.line(status))") }
    package func stopping(_ status: String) { notify("STOPPING=1\nSTATUS=\(Self.line(status))") }
    package func show(_ status: String) { notify("STATUS=\(Self.line(status))") }
    /// The next phase of a stop may take so long from now on, whatever `TimeoutStopSec=` says.
    package func extendTimeout(by span: Duration) {
        notify("EXTEND_TIMEOUT_USEC=\(span.components.seconds * 1_000_000)")
    }
    package func pingWatchdog() { notify("WATCHDOG=1") }

    /// With `MONOTONIC_USEC=`, which systemd 253 and later wait for (sd_notify(3)) and 252 ignores.
    package func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let microseconds = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
        notify("RELOADING=1\nMONOTONIC_USEC=\(microseconds)")
    }

    private func notify(_ state: String) { _ = sd_notify(0, state) }

    /// A line break would begin another assignment.
    private static func line(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }
}
