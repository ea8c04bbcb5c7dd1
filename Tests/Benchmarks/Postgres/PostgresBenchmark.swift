import Foundation
import IO
import TestSupport

/// pgbench through nodeguard, beside PostgreSQL's own TLS and PgBouncer, all with client certificates and the name of
/// the server checked; in each round one after the other, the other way round in every second round.
struct PostgresBenchmark {
    let nodeguard: String
    let extent: Extent
    private let database: BenchmarkDatabase

    init(nodeguard: String, extent: Extent) async throws {
        self.nodeguard = nodeguard
        self.extent = extent
        database = try await BenchmarkDatabase()
    }

    private static let works: [(name: String, arguments: [String])] = [
        ("pgbench -S -c 8", ["-S", "-c", "8"]), ("pgbench -S -C -c 4", ["-S", "-C", "-c", "4"]),
    ]

    func run(round: Int, into results: inout Results) async throws {
        let subjects = [
            try database.startNodeguard(nodeguard, round: round), try database.startPgBouncer(),
            Subject("postgresql", nil, port: database.securePort),
        ]
        for subject in subjects { try await becomeReady(subject) }
        for work in Self.works {
            for subject in round.isMultiple(of: 2) ? subjects : subjects.reversed() {
                results.add(work.name, .transactions, subject.name, try await measure(work.arguments, subject))
            }
        }
        for process in subjects.compactMap(\.process) {
            process.signal(15)
            _ = try await process.waitForEnd(within: 10)
        }
    }

    private func becomeReady(_ subject: Subject) async throws {
        let isReady = await eventually(within: 20) { (try? pgbench(["-S", "-t", "1"], subject).succeeded) == true }
        guard isReady else {
            throw BenchmarkError(
                "\(subject.name): \(try pgbench(["-S", "-t", "1"], subject))\(subject.process?.errors ?? "")")
        }
    }

    private func measure(_ arguments: [String], _ subject: Subject) async throws -> Double {
        let result = try pgbench(arguments + ["-T", "\(extent.pgbenchSeconds)"], subject)
        guard result.succeeded,
            let line = result.output.split(separator: "\n").first(where: { $0.hasPrefix("tps = ") }),
            let value = line.split(separator: " ").dropFirst(2).first.flatMap({ Double($0) })
        else { throw BenchmarkError("pgbench \(arguments) through \(subject.name): \(result)") }
        return value
    }

    private func pgbench(_ arguments: [String], _ subject: Subject) throws -> Subprocess.Result {
        try Subprocess.run(
            BenchmarkDatabase.programs + "/pgbench",
            arguments + [
                "-n", "-h", "localhost", "-p", "\(subject.address.port ?? 0)", "-U", "bench", "bench",
            ],
            environment: database.clientEnvironment, within: Double(extent.pgbenchSeconds + 60))
    }
}
