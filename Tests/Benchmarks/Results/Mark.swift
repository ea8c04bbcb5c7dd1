import Foundation

/// A limit that a figure of nodeguard's must keep, as a ratio to a peer's of the same run.
struct Mark: Encodable {
    let name: String
    let limit: Double
    let measured: Double
    let holds: Bool

    var shown: String { String(format: "%.2f", measured) }

    private struct Rule {
        let work: String
        let metric: Metric
        /// nil: the best of all.
        let peer: String?
        let limit: Double

        init(_ work: String, _ metric: Metric, _ limit: Double, to peer: String? = nil) {
            self.work = work
            self.metric = metric
            self.peer = peer
            self.limit = limit
        }
    }

    private static let rules = [
        Rule("full handshakes, 8 at a time", .cpuEach, 0.45, to: "haproxy as shipped"),
        Rule("full handshakes, 8 at a time", .cpuEach, 0.65, to: "haproxy"),
        Rule("handshakes with new chains", .cpuEach, 0.8, to: "haproxy"),
        Rule("256 B requests, 1 connection", .latency50, 1),
        Rule("256 B requests, 8 connections", .latency50, 1),
        Rule("256 B requests, 64 connections", .latency50, 1),
        Rule("256 B requests, 1 connection", .cpuEach, 0.9),
        Rule("256 B requests, 8 connections", .cpuEach, 0.9),
        Rule("256 B requests, 64 connections", .cpuEach, 0.9),
        Rule("bulk down, 2 connections", .cpuOfBytes, 0.75),
        Rule("bulk up, 2 connections", .cpuOfBytes, 0.85),
        Rule("8 connections in a storm", .latency50, 0.15, to: "haproxy 2 threads"),
        Rule("8 connections in a storm", .latency99, 0.4, to: "haproxy 2 threads"),
        Rule("8 connections in a storm", .stormRate, 1, to: "haproxy 2 threads"),
        Rule("idle connection", .residentKiB, 1),
        Rule("pgbench -S -c 8", .transactions, 0.9, to: "postgresql"),
        Rule("pgbench -S -c 8", .transactions, 1.2, to: "pgbouncer"),
        Rule("pgbench -S -C -c 4", .transactions, 1.5, to: "postgresql"),
    ]

    /// Those whose work was done by both.
    static func all(in results: Results) -> [Mark] {
        rules.compactMap { rule in
            let key = Results.Key(work: rule.work, metric: rule.metric)
            guard let peer = rule.peer ?? results.bestPeer(key, of: "nodeguard"),
                let measured = results.ratio(key, "nodeguard", to: peer)
            else { return nil }
            let isLower = rule.metric.isBetterWhenLarger
            return Mark(
                name: "\(rule.work): \(rule.metric.name), nodeguard : \(peer) \(isLower ? "≥" : "≤") \(rule.limit)",
                limit: rule.limit, measured: measured,
                holds: isLower ? measured >= rule.limit : measured <= rule.limit)
        }
    }
}
