import Foundation

/// Results for programs.
struct ReportFile: Encodable {
    struct Machine: Encodable {
        let processor: String
        let cores: Int
        let memoryMiB: Int
        let kernel: String
        let rounds: Int
    }

    struct Row: Encodable {
        let work: String
        let metric: String
        let unit: String
        let subject: String
        let value: Double
        let min: Double
        let max: Double
    }

    let machine: Machine
    let rows: [Row]
    let marks: [Mark]

    init(_ results: Results, rounds: Int) {
        machine = Machine(rounds: rounds)
        rows = results.keys.flatMap { key in
            results.subjects.compactMap { subject in
                guard let values = results.values(key, subject), let least = values.min(), let most = values.max()
                else { return nil }
                return Row(
                    work: key.work, metric: key.metric.name, unit: key.metric.unit, subject: subject,
                    value: values.median, min: least, max: most)
            }
        }
        marks =
            Mark.all(in: results) + IdentityBenchmark.marks(results) + RevocationListBenchmark.marks(results)
            + RevocationBenchmark.marks(results) + EnduranceBenchmark.marks(results)
            + AuditBenchmark.marks(results) + PlaneBenchmark.marks(results)
    }

    func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(self).write(to: URL(fileURLWithPath: path))
    }
}

extension ReportFile.Machine {
    fileprivate init(rounds: Int) {
        let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = information.split(separator: "\n").first { $0.hasPrefix("model name") }
        let kernel = try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
        self.init(
            processor: model?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown",
            cores: ProcessInfo.processInfo.activeProcessorCount,
            memoryMiB: Int(ProcessInfo.processInfo.physicalMemory >> 20),
            kernel: kernel?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "unknown", rounds: rounds)
    }
}
