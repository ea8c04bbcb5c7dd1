import Synchronization

/// How far a stream has come, and whether it should go on: written by the workers that move it, read by the status
/// section and by whoever waits.
package final class StreamWatch: Sendable {
    private let plaintext = Atomic<Int64>(0)
    private let ciphertext = Atomic<Int64>(0)
    private let cancellation = Mutex<BackupError?>(nil)
    private let start: ContinuousClock.Instant = .now
    private let lastReport = Mutex<ContinuousClock.Instant>(.now)
    private let interval: Duration
    private let report: @Sendable (StreamWatch) -> Void

    /// `report` is called between turns of the pipeline, at most once an `interval`.
    package init(
        every interval: Duration = .seconds(1), report: @escaping @Sendable (StreamWatch) -> Void = { _ in }
    ) {
        self.interval = interval
        self.report = report
    }

    var plaintextBytes: Int64 { plaintext.load(ordering: .relaxed) }
    var storedBytes: Int64 { ciphertext.load(ordering: .relaxed) }
    var seconds: Double { start.duration(to: .now) / .seconds(1) }

    func took(_ count: Int) { plaintext.wrappingAdd(Int64(count), ordering: .relaxed) }
    func stored(_ total: Int64) { ciphertext.store(total, ordering: .relaxed) }

    /// The first reason stays.
    func cancel(_ reason: BackupError) { cancellation.withLock { $0 = $0 ?? reason } }

    var reason: BackupError? { cancellation.withLock { $0 } }

    /// Throws the reason why the stream must not go on.
    func check() throws(BackupError) {
        if let reason { throw reason }
    }

    func turnEnded() {
        let isDue = lastReport.withLock { last in
            let now = ContinuousClock.now
            if last.duration(to: now) < interval { return false }
            last = now
            return true
        }
        if isDue { report(self) }
    }
}
