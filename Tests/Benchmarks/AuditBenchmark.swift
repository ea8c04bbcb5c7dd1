import Audit
import Foundation
import Reports
import TestSupport

/// The two events of a connection, from their report until they are durable, without a plane: made as the proxy makes
/// them, in canonical form, in the hash tree, in SQLite. Per second of CPU, whatever the disk is like.
struct AuditBenchmark {
    private static let rate = Metric(name: "one core", unit: "events/s", isBetterWhenLarger: true)
    /// As many as a commit takes, and as many as come within its delay at some hundred handshakes a second.
    private static let groups = [2000, 32]
    private static let limits = [2000: 100_000.0, 32: 30_000.0]

    let count: Int

    static func work(_ group: Int) -> String { "audit, commits of \(group) events" }

    static func marks(_ results: Results) -> [Mark] {
        groups.compactMap { group in
            guard let limit = limits[group],
                let measured = results.values(Results.Key(work: work(group), metric: rate), "nodeguard")?.median
            else { return nil }
            return Mark(
                name: "\(work(group)): \(rate.name) ≥ \(Int(limit)) \(rate.unit)", limit: limit, measured: measured,
                holds: measured >= limit)
        }
    }

    func run(into results: inout Results) async throws {
        for group in Self.groups {
            results.add(Self.work(group), Self.rate, "nodeguard", try await rate(of: group))
        }
    }

    private func rate(of group: Int) async throws -> Double {
        let folder = try TemporaryDirectory()
        let metrics = Metrics()
        let job = AuditJob(
            AuditConfiguration(directory: folder.path, limit: 4 << 30, node: "db-1", cluster: "cluster-a"),
            receiver: nil, health: HealthBoard(conditions: ["spool"]), metrics: metrics)
        await job.start()
        let before = ProcessUsage.ownCPUSeconds
        for first in stride(from: 0, to: count, by: group) {
            for number in first..<min(first + group, count) { report(number, to: job.reporter) }
            guard await job.flush() else { throw BenchmarkError("the spool refused") }
        }
        let seconds = ProcessUsage.ownCPUSeconds - before
        guard await job.spooled() == UInt64(count) else { throw BenchmarkError("not every event is in the spool") }
        await job.stop()
        return Double(count) / seconds
    }

    /// An accepted connection, then its end.
    private func report(_ number: Int, to audit: AuditReporter) {
        var fields: AuditFields = [
            "listener": "ysql", "peer.address": .string("10.0.\(number >> 8 & 255).\(number & 255):40000"),
            "tls.version": "TLSv1.3", "tls.cipher": "TLS_AES_256_GCM_SHA384",
            "peer.subject": "CN=orders-service,O=Example Corporation", "peer.issuer": "CN=Example Issuing CA 7",
            "peer.serial": "5f3a9c0b7e1d2486a1b2c3d4e5f60718", "user": "orders", "database": "orders",
            "connection": .count(number >> 1),
        ]
        if number & 1 == 0 {
            fields["rule"] = "orders"
            audit.report(AuditEvent(.connectionAccepted, fields: fields))
        } else {
            fields["reason"] = "finished"
            fields["bytes.received"] = 1234
            fields["bytes.sent"] = 56_789
            fields["seconds"] = 3
            audit.report(AuditEvent(.connectionClosed, fields: fields))
        }
    }
}
