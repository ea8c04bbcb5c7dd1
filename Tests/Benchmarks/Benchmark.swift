import ArgumentParser
import Foundation

/// Measures nodeguard beside its peers; `packaging/benchmark` builds and runs it.
@main
struct Benchmark: AsyncParsableCommand {
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case proxy, backup, revocation, all
    }

    static let configuration = CommandConfiguration(
        commandName: "nodeguard-benchmark", abstract: "Measure nodeguard beside its peers, in interleaved rounds.")

    @Argument(help: "What to measure: proxy, backup, revocation or all.") var part = Part.all
    @Option(help: "Figures are medians of so many rounds.") var rounds = 5
    @Option(help: "Also write the figures to this file.") var json: String?
    @Flag(help: "Short windows: proves that everything runs, measures little.") var quick = false
    @Option(help: "Of the proxy's works only those whose name contains this.") var work: String?
    @Option(help: "The release build of nodeguard.") var nodeguard: String
    @Option(help: "HAProxy.") var haproxy = "/usr/sbin/haproxy"

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
    }

    func run() async throws {
        ProcessUsage.raiseDescriptorLimit()
        let extent = quick ? Extent.quick : .full
        var results = Results()
        if part == .proxy || part == .all {
            let benchmark = try ProxyBenchmark(nodeguard: nodeguard, haproxy: haproxy, extent: extent, works: works)
            for round in 0..<rounds {
                say("proxy, round \(round + 1) of \(rounds)")
                try await benchmark.run(round: round, into: &results)
            }
        }
        if part == .revocation || part == .all {
            let benchmark = try RevocationBenchmark(nodeguard: nodeguard, isQuick: quick)
            for round in 0..<rounds {
                say("revocation, round \(round + 1) of \(rounds)")
                try await benchmark.run(round: round, into: &results)
            }
        }
        if part == .backup || part == .all {
            for round in 0..<rounds {
                say("sealing, round \(round + 1) of \(rounds)")
                try SealingBenchmark(extent: extent).run(into: &results)
            }
        }
        Table(results: results).print(ratioOf: "nodeguard", to: part == .backup ? "openssl" : "haproxy")
        let report = ReportFile(results, rounds: rounds)
        if let json { try report.write(to: json) }
        let missed = report.marks.filter { !$0.holds }
        for mark in missed { say("missed: \(mark.name): \(mark.measured) where the limit is \(mark.limit)") }
        if !missed.isEmpty { throw ExitCode(1) }
    }

    private var works: [Work] { Work.proxy.filter { work == nil || $0.name.contains(work ?? "") } }

    private func say(_ text: String) { FileHandle.standardError.write(Data("    \(text)\n".utf8)) }
}
