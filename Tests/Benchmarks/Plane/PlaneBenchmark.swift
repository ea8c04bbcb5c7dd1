import Foundation
import IO
import OpenSSL
import TestSupport

/// The reference plane under a fleet: how many nodes join in a second, each over a TLS connection of its own, with
/// SQLite and with PostgreSQL behind it; and what it takes to hold nodes that wait for news: memory, CPU while nothing
/// happens (each asks once more in the time that is measured), and how soon all of them have heard.
///
/// The nodes are on the same machine and take their part of it.
struct PlaneBenchmark {
    private static let joining = "nodes join the plane, 16 at a time"
    private static let rateLimit = 200.0
    private static let memory = Metric(name: "resident each", unit: "KiB")
    private static let news99 = Metric(name: "news, p99", unit: "ms")
    private static let idle = Metric(name: "CPU while they wait", unit: "% of a core")
    private static let newsLimit = 5000.0
    private static let memoryLimit = 100.0
    private static let patience = Duration.seconds(600)
    private static let width = 16
    private static let shortPause = Duration.milliseconds(5)

    private let program: String
    private let nodes: Int
    private let idleWindow: Duration
    private let keys: [PrivateKey]
    private let postgres: PlanePostgres
    private let alarm = Alarm(label: "plane")

    /// `program`: nodeguard-plane.
    init(_ program: String, isQuick: Bool) async throws {
        self.program = program
        nodes = isQuick ? 100 : 5000
        idleWindow = isQuick ? .milliseconds(500) : .seconds(50)
        // One more than wait: the one that is revoked.
        keys = try (0...nodes).map { _ in try PrivateKey.generate(.ecP256) }
        postgres = try await PlanePostgres()
    }

    private static func holding(_ nodes: Int) -> String { "\(nodes) nodes wait for revocations" }

    static func marks(_ results: Results) -> [Mark] {
        results.keys.compactMap { key in
            guard let measured = results.values(key, PlaneDatabase.sqlite.subject)?.median else { return nil }
            let (limit, isLower): (Double, Bool)
            switch key.metric {
            case .rate where key.work == joining: (limit, isLower) = (rateLimit, true)
            case news99: (limit, isLower) = (newsLimit, false)
            case memory where key.work.hasSuffix("wait for revocations"): (limit, isLower) = (memoryLimit, false)
            default: return nil
            }
            return Mark(
                name: "\(key.work): \(key.metric.name) \(isLower ? "≥" : "≤") \(Int(limit)) \(key.metric.unit)",
                limit: limit, measured: measured, holds: isLower ? measured >= limit : measured <= limit)
        }
    }

    func run(into results: inout Results) async throws {
        let fleet = try await PlaneFleet(program, .sqlite)
        try await join(fleet, .sqlite, into: &results)
        try await hold(fleet, into: &results)
        try await fleet.end()
        let shared = PlaneDatabase.postgresql(postgres)
        let other = try await PlaneFleet(program, shared)
        try await join(other, shared, into: &results)
        try await other.end()
    }

    private func join(_ fleet: PlaneFleet, _ database: PlaneDatabase, into results: inout Results) async throws {
        let newcomers = try fleet.newcomers(keys)
        let clients = PlaneClients(fleet.address)
        clients.start()
        let cpu = ProcessUsage.cpuSeconds(fleet.process.identifier) ?? 0
        let began = ContinuousClock.now
        await clients.begin(newcomers.calls, width: Self.width)
        try await wait(clients, fleet) { $0.operations.value == newcomers.calls.count }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        let count = Double(newcomers.calls.count)
        let used = (ProcessUsage.cpuSeconds(fleet.process.identifier) ?? 0) - cpu
        results.add(Self.joining, .rate, database.subject, count / seconds)
        results.add(Self.joining, .cpuEach, database.subject, used / count * 1e6)
        try fleet.adopt(newcomers, await clients.takeAnswers())
        await clients.end()
        await clients.lane.stop()
    }

    private func hold(_ fleet: PlaneFleet, into results: inout Results) async throws {
        let work = Self.holding(nodes)
        let subject = PlaneDatabase.sqlite.subject
        let clients = PlaneClients(fleet.address)
        clients.start()
        let process = fleet.process.identifier
        let before = try ProcessUsage.memory(process).residentKiB
        await clients.begin(try fleet.waiting(nodes), width: Self.width)
        try await wait(clients, fleet) { $0.open.value == nodes }
        let after = try ProcessUsage.memory(process).residentKiB
        results.add(work, Self.memory, subject, (after - before) / Double(nodes))

        let cpu = ProcessUsage.cpuSeconds(process) ?? 0
        let began = ContinuousClock.now
        _ = await alarm.wait(for: idleWindow)
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        results.add(work, Self.idle, subject, ((ProcessUsage.cpuSeconds(process) ?? 0) - cpu) / seconds * 100)
        guard clients.progress.open.value == nodes else { throw BenchmarkError("nodes do not wait any more") }

        guard let last = fleet.serials.last else { return }
        _ = await clients.takeNews()
        let told = clients.progress.ended.value
        let start = ContinuousClock.now
        _ = try fleet.verb("revoke", last)
        try await wait(clients, fleet) { $0.ended.value == told + nodes }
        let waits = await clients.takeNews().map { ($0 - start) / .milliseconds(1) }.sorted()
        results.add(work, Metric(name: "news, p50", unit: "ms"), subject, waits[waits.count / 2])
        results.add(work, Self.news99, subject, waits[min(waits.count - 1, waits.count * 99 / 100)])
        await clients.end()
        await clients.lane.stop()
    }

    private func wait(_ clients: PlaneClients, _ fleet: PlaneFleet, for isDone: (LoadProgress) -> Bool) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while !isDone(clients.progress) {
            if let failure = clients.progress.takeFailure() {
                throw BenchmarkError(
                    "a node failed: \(failure), after \(clients.progress.operations.value) answers, while "
                        + "\(clients.progress.open.value) wait\n\(fleet.process.errors)")
            }
            guard ContinuousClock.now < deadline, fleet.process.isRunning else {
                throw BenchmarkError(
                    "the plane does not serve: \(clients.progress.operations.value) answers, "
                        + "\(clients.progress.open.value) wait\n\(fleet.process.errors)")
            }
            _ = await alarm.wait(for: Self.shortPause)
        }
    }
}
