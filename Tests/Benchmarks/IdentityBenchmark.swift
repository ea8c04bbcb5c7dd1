import Foundation
import Simulations

/// 5000 nodes in simulated time: how their renewals are spread, and how they come back to a plane that was away for an
/// hour. Nothing is timed: each run comes to the same.
struct IdentityBenchmark {
    private static let work = "5000 nodes, simulated"
    private static let spread = Metric(name: "renewals p5–p95", unit: "% of the window", isBetterWhenLarger: true)
    private static let peak = Metric(name: "peak after an hour's outage", unit: "× the usual")
    private static let meanwhile = Metric(name: "peak in the outage", unit: "× the usual")
    private static let barWidth = 60.0

    static func marks(_ results: Results) -> [Mark] {
        let limits = [(spread, 80.0), (peak, 3.0)]
        return limits.compactMap { metric, limit in
            let key = Results.Key(work: work, metric: metric)
            guard let measured = results.values(key, "nodeguard")?.median else { return nil }
            let isLower = metric.isBetterWhenLarger
            return Mark(
                name: "\(work): \(metric.name) \(isLower ? "≥" : "≤") \(limit) \(metric.unit)", limit: limit,
                measured: measured, holds: isLower ? measured >= limit : measured <= limit)
        }
    }

    func run(into results: inout Results) {
        let simulation = FleetSimulation()
        let shares = simulation.firstRenewals()
        let range = shares[shares.count * 95 / 100] - shares[shares.count * 5 / 100]
        results.add(Self.work, Self.spread, "nodeguard", range * 100)
        print("renewals of \(shares.count) certificates of a day that were issued at once, by the time of the window:")
        Self.plot(shares, from: 0, to: 1, step: 0.05) { String(format: "%4.0f %%", $0 * 100) }
        let outage = simulation.outage(of: 3600)
        results.add(Self.work, Self.peak, "nodeguard", outage.peakAfterwards)
        results.add(Self.work, Self.meanwhile, "nodeguard", outage.peakMeanwhile)
        print("requests in ten minutes, by the time since the end of the outage (usual: \(Int(outage.steady * 2))):")
        Self.plot(outage.requests, from: -7200, to: 4 * 3600, step: 600) { Self.clock($0) }
    }

    /// `-1:10`: hours and minutes.
    private static func clock(_ seconds: Double) -> String {
        let minutes = Int(abs(seconds)) / 60
        return (seconds < 0 ? "-" : "+") + String(format: "%d:%02d", minutes / 60, minutes % 60)
    }

    private static func plot(
        _ values: [Double], from begin: Double, to end: Double, step: Double, label: (Double) -> String
    ) {
        let count = Int(((end - begin) / step).rounded())
        var counts = [Int](repeating: 0, count: count)
        for value in values where (begin..<end).contains(value) {
            counts[min(count - 1, Int((value - begin) / step))] += 1
        }
        let most = Double(max(1, counts.max() ?? 1))
        for (row, number) in counts.enumerated() {
            let bar = String(repeating: "#", count: Int((Double(number) / most * barWidth).rounded()))
            print("  \(label(begin + Double(row) * step))  \(bar) \(number)")
        }
    }
}
