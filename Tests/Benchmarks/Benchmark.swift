import ArgumentParser
import Foundation

/// Measures nodeguard beside its peers; `packaging/benchmark` builds and runs it.
@main
struct Benchmark: AsyncParsableCommand {
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case proxy, postgres, identity, revocation, endurance, backup, audit, plane, all
    }

    static let configuration = CommandConfiguration(
        commandName: "nodeguard-benchmark", abstract: "Measure nodeguard beside its peers, in interleaved rounds.")

    @Argument(
        help:
            "Measures proxy (with PostgreSQL), postgres, identity, revocation, endurance, backup, audit, plane or all."
    )
    var part = Part.all
    @Option(help: "Figures are medians of so many rounds.") var rounds = 5
    @Option(help: "Also write the figures to this file.") var json: String?
    @Flag(help: "Short windows: proves that everything runs, measures little.") var quick = false
    @Option(help: "Of the proxy's works only those whose name contains this.") var work: String?
    @Option(help: "The release build of nodeguard; nodeguard-plane stands beside it.") var nodeguard: String

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
    }

    func run() async throws {
        ProcessUsage.raiseDescriptorLimit()
        let extent = quick ? Extent.quick : .full
        var results = Results()
        if part == .proxy || part == .all {
            let benchmark = try ProxyBenchmark(nodeguard: nodeguard, extent: extent, works: works)
            try await repeated("proxy") { try await benchmark.run(round: $0, into: &results) }
        }
        if part == .postgres || (part == .proxy || part == .all) && work == nil {
            let benchmark = try await PostgresBenchmark(nodeguard: nodeguard, extent: extent)
            try await repeated("pgbench") { try await benchmark.run(round: $0, into: &results) }
        }
        if part == .identity || part == .all { IdentityBenchmark().run(into: &results) }
        if part == .revocation || part == .all {
            let million = try RevocationListBenchmark(isQuick: quick)
            try await repeated("CRL") { _ in try million.run(into: &results) }
            let plane = nodeguard + "-plane"
            let benchmark = try RevocationBenchmark(nodeguard: nodeguard, plane: plane, isQuick: quick)
            try await repeated("revocation") { try await benchmark.run(round: $0, into: &results) }
        }
        if part == .endurance || part == .all {
            let benchmark = try EnduranceBenchmark(nodeguard: nodeguard, extent: extent)
            try await repeated("endurance") { try await benchmark.run(round: $0, into: &results) }
        }
        if part == .backup || part == .all {
            try await repeated("sealing") { _ in try SealingBenchmark(extent: extent).run(into: &results) }
        }
        if part == .audit || part == .all {
            let benchmark = AuditBenchmark(count: quick ? 10_000 : 200_000)
            try await repeated("audit") { _ in try await benchmark.run(into: &results) }
        }
        if part == .plane || part == .all {
            let benchmark = try await PlaneBenchmark(nodeguard + "-plane", isQuick: quick)
            try await repeated("plane") { _ in try await benchmark.run(into: &results) }
        }
        Table(results: results).print(ratioOf: "nodeguard")
        let report = ReportFile(results, rounds: rounds)
        if let json { try report.write(to: json) }
        for mark in report.marks { print(mark.holds ? "holds " : "MISSED", mark.name, "— measured", mark.shown) }
        // Short windows prove nothing.
        if !quick, report.marks.contains(where: { !$0.holds }) { throw ExitCode(1) }
    }

    private var works: [Work] { Work.proxy.filter { work == nil || $0.name.contains(work ?? "") } }

    private func repeated(_ name: String, _ body: (Int) async throws -> Void) async throws {
        for round in 0..<rounds {
            say("\(name), round \(round + 1) of \(rounds)")
            try await body(round)
        }
    }

    private func say(_ text: String) { FileHandle.standardError.write(Data("    \(text)\n".utf8)) }
}
