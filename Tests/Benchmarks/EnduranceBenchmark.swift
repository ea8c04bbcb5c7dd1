import Foundation
import IO
import OpenSSL
import TestSupport

/// What nodeguard alone must bear: a crowd of connections at a time, readers that stall, and reloads under load.
struct EnduranceBenchmark {
    private static let patience = Duration.seconds(120)
    private static let shortPause = Duration.milliseconds(5)
    private static let gatheringWidth = 16
    /// Of requests, while 200 reloads a minute go on, beside the same without.
    private static let slowdownLimit = 1.2
    private static let pinnedLimitMiB = 64.0
    private static let busyConnections = 8
    private static let reloadPause = Duration.milliseconds(300)
    /// As many pairs of windows a round.
    private static let windows = 3

    private let program: String
    private let extent: Extent
    private let backend: EchoBackend
    private let crowd = LoadClient(label: "crowd")
    private let busy = LoadClient(label: "busy")
    private let scenery: Scenery
    private let context: TLSContext
    private let alarm = Alarm(label: "endurance")

    init(nodeguard: String, extent: Extent) throws {
        program = nodeguard
        self.extent = extent
        backend = try EchoBackend()
        scenery = try Scenery(backend: backend.address)
        context = try TLSContext.client(
            identity: scenery.client.tlsIdentity(), trust: nil, serverName: nil, minimum: .tls13)
        backend.start()
        crowd.start()
        busy.start()
    }

    func run(round: Int, into results: inout Results) async throws {
        let subject = try scenery.startNodeguard(program, round: 2000 + round, unauthenticated: 512)
        try await listen(subject)
        try await holdACrowd(subject, into: &results)
        try await stallReaders(subject, into: &results)
        try await reload(subject, scenery.folder.file("nodeguard-\(2000 + round).yaml"), into: &results)
        subject.process?.signal(15)
        _ = try await subject.process?.waitForEnd(within: 20)
    }

    // MARK: the works

    private static let crowdWork = "connections at a time"
    private static let stalledWork = "readers that stall"
    private static let reloadWork = "256 B requests, p99 beside reloads"
    private static let count = Metric(name: "held", unit: "")
    private static let pinned = Metric(name: "pinned beyond idle", unit: "MiB")
    private static let slowdown = Metric(name: "with : without", unit: "")

    private func holdACrowd(_ subject: Subject, into results: inout Results) async throws {
        try await gather(.hold, extent.crowd, subject)
        results.add(Self.crowdWork, Self.count, subject.name, Double(crowd.progress.open.value))
        try await endAll(subject)
    }

    private func stallReaders(_ subject: Subject, into results: inout Results) async throws {
        try await gather(.hold, extent.stalled, subject)
        let idle = try memory(subject)
        try await endAll(subject)
        try await gather(.stall, extent.stalled, subject)
        // Until the relay takes no more.
        var before = 0.0
        var now = try memory(subject)
        let deadline = ContinuousClock.now + Self.patience
        while abs(now - before) > 0.25 {
            _ = await alarm.wait(for: .milliseconds(500))
            before = now
            now = try memory(subject)
            guard ContinuousClock.now < deadline else { throw BenchmarkError("memory does not become steady") }
        }
        results.add(Self.stalledWork, Self.pinned, subject.name, now - idle)
        try await endAll(subject)
    }

    private func reload(_ subject: Subject, _ path: String, into results: inout Results) async throws {
        try await gather(.hold, extent.stalled, subject)
        let text = String(decoding: try Files.read(path, limit: 1 << 20), as: UTF8.self)
        let name = "common-name: \(Scenery.clientName)"
        let other = text.replacing(name, with: "common-name: [\(Scenery.clientName), other]")
        await busy.begin(
            LoadOrder(
                script: .exchanges, address: subject.address, contexts: [context], width: Self.busyConnections,
                total: Self.busyConnections))
        _ = await alarm.wait(for: extent.warmUp)
        for _ in 0..<Self.windows {
            let calm = try await latency {}
            var isOther = false
            let beside = try await latency {
                isOther.toggle()
                try Files.write(Array((isOther ? other : text).utf8), to: path, mode: 0o600)
                subject.process?.signal(SIGHUP)
            }
            results.add(Self.reloadWork, Metric(name: "without", unit: "µs"), subject.name, calm)
            results.add(Self.reloadWork, Metric(name: "with", unit: "µs"), subject.name, beside)
            results.add(Self.reloadWork, Self.slowdown, subject.name, beside / calm)
        }
        guard crowd.progress.open.value == extent.stalled else {
            throw BenchmarkError("reloads ended \(extent.stalled - crowd.progress.open.value) connections")
        }
        await busy.end()
        try await endAll(subject)
    }

    /// p99 in microseconds over one window, in which `step` is taken again and again.
    private func latency(_ step: () throws -> Void) async throws -> Double {
        _ = await busy.takeLatencies()
        let end = ContinuousClock.now + extent.window
        while ContinuousClock.now < end {
            try step()
            _ = await alarm.wait(for: Self.reloadPause)
        }
        if let failure = busy.progress.takeFailure() { throw BenchmarkError(failure) }
        guard let latency = await busy.takeLatencies().percentile(0.99) else { throw BenchmarkError("no answer came") }
        return latency / 1000
    }

    static func marks(_ results: Results) -> [Mark] {
        func median(_ work: String, _ metric: Metric) -> Double? {
            results.values(Results.Key(work: work, metric: metric), "nodeguard")?.median
        }
        return [
            median(stalledWork, pinned).map {
                Mark(
                    name: "\(stalledWork): MiB pinned ≤ \(Int(pinnedLimitMiB))", limit: pinnedLimitMiB, measured: $0,
                    holds: $0 <= pinnedLimitMiB)
            },
            median(reloadWork, slowdown).map {
                Mark(
                    name: "\(reloadWork): with : without ≤ \(slowdownLimit)", limit: slowdownLimit, measured: $0,
                    holds: $0 <= slowdownLimit)
            },
        ].compactMap(\.self)
    }

    // MARK: the crowd

    /// Until a whole connection through it succeeds.
    private func listen(_ subject: Subject) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while crowd.progress.operations.value == 0 {
            await crowd.begin(order(.hold, 1, subject))
            while crowd.progress.open.value > 0, crowd.progress.operations.value == 0 {
                try await pause(until: deadline, subject)
            }
            _ = crowd.progress.takeFailure()
            try await pause(until: deadline, subject)
        }
        try await endAll(subject)
    }

    private func order(_ script: Script, _ total: Int, _ subject: Subject) -> LoadOrder {
        LoadOrder(
            script: script, address: subject.address, contexts: [context], width: Self.gatheringWidth, total: total)
    }

    private func gather(_ script: Script, _ count: Int, _ subject: Subject) async throws {
        let deadline = ContinuousClock.now + Self.patience
        let before = crowd.progress.operations.value
        await crowd.begin(order(script, count, subject))
        while crowd.progress.operations.value < before + count { try await pause(until: deadline, subject) }
        guard crowd.progress.open.value == count else {
            throw BenchmarkError("\(crowd.progress.open.value) of \(count) connections are left")
        }
    }

    private func endAll(_ subject: Subject) async throws {
        let deadline = ContinuousClock.now + Self.patience
        await crowd.end()
        while crowd.progress.open.value > 0 || busy.progress.open.value > 0 || backend.tally.guests.value > 0 {
            try await pause(until: deadline, subject)
        }
    }

    private func pause(until deadline: ContinuousClock.Instant, _ subject: Subject) async throws {
        if crowd.progress.operations.value > 0, let failure = crowd.progress.takeFailure() {
            throw BenchmarkError(failure)
        }
        guard ContinuousClock.now < deadline, subject.process?.isRunning == true else {
            throw BenchmarkError("\(subject.name) does not serve\n\(subject.process?.errors ?? "")")
        }
        _ = await alarm.wait(for: Self.shortPause)
    }

    private func memory(_ subject: Subject) throws -> Double {
        guard let process = subject.processIdentifier else { return 0 }
        return try ProcessUsage.memory(ofFamily: process).residentKiB / 1024
    }
}
