import Foundation
import Logging
import Reports
import Status
import Synchronization
import Testing

/// A status source whose every part the test can turn, and the audit events that came of the calls.
final class Fixture: Sendable {
    let health = HealthBoard(conditions: ["listeners", "certificates"])
    let metrics = Metrics()
    let events = Mutex<[AuditEvent]>([])
    let lanes = Mutex<[LaneSample]>([LaneSample(label: "data-0", jobCount: 7, busySeconds: 0, lagSeconds: 0)])
    let calls = Mutex<[String]>([])

    var audit: AuditReporter { AuditReporter { event in self.events.withLock { $0.append(event) } } }

    var source: StatusSource {
        StatusSource(
            identification: {
                NodeIdentification(
                    node: "db-1", cluster: "cluster-a", version: "1.2.3", started: Timestamp(seconds: 1_700_000_000))
            },
            health: health, metrics: metrics, lanes: { self.lanes.withLock { $0 } },
            control: ControlActions(
                connections: { _, _ in [["id": "1:1", "peer": "CN=shop"]] },
                events: { count in ["count": .count(count)] },
                renew: { role in
                    self.note("renew \(role)", role == "database" ? .accepted("begun") : .unknown("no role"))
                },
                kill: { id in self.note("kill \(id)", id == "1:1" ? .done(["killed": .string(id)]) : .unknown("none"))
                },
                drain: { self.note("drain", .failed("no listener")) },
                undrain: { self.note("undrain", .done([:])) },
                reload: { waits in self.note(waits ? "reload, wait" : "reload", .refused("a mistake")) },
                bans: BanActions(
                    list: { ["bans": [["network": "10.0.0.1/32"]]] },
                    lift: { network in self.note("lift \(network ?? "all")", .done(["lifted": 1])) })))
    }

    private func note(_ call: String, _ outcome: ControlOutcome) -> ControlOutcome {
        calls.withLock { $0.append(call) }
        return outcome
    }

    func becomeReady() {
        health.set(ReadinessCondition("listeners", isMet: true, detail: "1 bound"))
        health.set(ReadinessCondition("certificates", isMet: true, detail: "valid"))
    }
}

/// A folder that goes away with the test that made it.
final class Folder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("ng-\(UUID().uuidString.prefix(8))").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

struct Curl {
    let exit: Int32
    let status: Int
    let headers: String
    let body: String

    /// Asks over a unix socket with the real curl, without holding a thread of Swift's pool.
    static func ask(_ socket: String, _ path: String, _ arguments: [String] = []) async throws -> Curl {
        let folder = try Folder()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        process.arguments =
            [
                "-s", "-m", "20", "--unix-socket", socket, "-D", folder.path + "/headers", "-o", folder.path + "/body",
                "-w", "%{http_code}", "--path-as-is",
            ] + arguments + ["http://node" + path]
        let output = Pipe()
        process.standardOutput = output
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in done.resume() }
            do { try process.run() } catch { done.resume(throwing: error) }
        }
        let code = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        func text(_ name: String) -> String {
            (try? String(contentsOfFile: folder.path + "/" + name, encoding: .utf8)) ?? ""
        }
        return Curl(
            exit: process.terminationStatus, status: Int(code) ?? 0, headers: text("headers").lowercased(),
            body: text("body"))
    }
}

/// A server over real sockets for as long as `body` runs.
func withServer(
    _ fixture: Fixture, mode: UInt32 = 0o666, _ body: @Sendable (StatusConfiguration) async throws -> Void
) async throws {
    let folder = try Folder()
    let configuration = StatusConfiguration(
        statusPath: folder.path + "/status.sock", controlPath: folder.path + "/control.sock", mode: mode)
    let server = try await StatusServer.open(
        configuration, source: fixture.source, audit: fixture.audit, logger: Logger(label: "test"))
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        do {
            try await body(configuration)
        } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
    }
}

/// Whether `condition` becomes true before the deadline.
func eventually(within seconds: Double, _ condition: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < deadline {
        if condition() { return true }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(5)) { continuation.resume() }
        }
    }
    return condition()
}
