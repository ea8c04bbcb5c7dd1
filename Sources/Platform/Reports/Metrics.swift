import Synchronization

/// A number that only grows, counted from any thread.
package final class Counter: Sendable {
    private let storage = Atomic<UInt64>(0)

    package init() {}
    package func add(_ amount: UInt64 = 1) { storage.wrappingAdd(amount, ordering: .relaxed) }
    package var value: UInt64 { storage.load(ordering: .relaxed) }
}

/// A cumulative histogram with fixed upper bounds, in seconds.
package final class Histogram: Sendable {
    package static let latencyBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    private struct Contents {
        var counts: [UInt64]
        var sum = 0.0
    }

    package let bounds: [Double]
    private let contents: Mutex<Contents>

    package init(bounds: [Double] = latencyBounds) {
        self.bounds = bounds
        contents = Mutex(Contents(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ seconds: Double) {
        let index = bounds.firstIndex { seconds <= $0 } ?? bounds.count
        contents.withLock {
            $0.counts[index] += 1
            $0.sum += seconds
        }
    }

    /// Cumulative counts, one a bound and last the total; and the sum.
    package var values: (cumulative: [UInt64], sum: Double) {
        contents.withLock { contents in
            var total: UInt64 = 0
            let cumulative = contents.counts.map { count in
                total += count
                return total
            }
            return (cumulative, contents.sum)
        }
    }
}

/// All metrics of the process, written as OpenMetrics text. Jobs register theirs once and keep the `Counter` or
/// `Histogram`; gauges are closures that are read when someone scrapes.
package final class Metrics: Sendable {
    private enum Source {
        case counter(Counter)
        case histogram(Histogram)
        case gauge(@Sendable () -> [(labels: [(String, String)], value: Double)])
    }

    private struct Family {
        let help: String
        let type: String
        var series: [(labels: [(String, String)], source: Source)] = []
    }

    private let families = Mutex<[String: Family]>([:])

    package init() {}

    /// `name` without `_total`, as OpenMetrics wants it.
    package func counter(_ name: String, _ help: String, labels: [(String, String)] = []) -> Counter {
        families.withLock { families in
            var family = families[name] ?? Family(help: help, type: "counter")
            for case (let known, .counter(let counter)) in family.series where known.elementsEqual(labels, by: ==) {
                return counter
            }
            let counter = Counter()
            family.series.append((labels, .counter(counter)))
            families[name] = family
            return counter
        }
    }

    package func histogram(_ name: String, _ help: String, labels: [(String, String)] = []) -> Histogram {
        let histogram = Histogram()
        register(name, help, "histogram", labels, .histogram(histogram))
        return histogram
    }

    package func gauge(
        _ name: String, _ help: String,
        _ read: @escaping @Sendable () -> [(labels: [(String, String)], value: Double)]
    ) {
        register(name, help, "gauge", [], .gauge(read))
    }

    private func register(
        _ name: String, _ help: String, _ type: String, _ labels: [(String, String)], _ source: Source
    ) {
        families.withLock { families in
            families[name, default: Family(help: help, type: type)].series.append((labels, source))
        }
    }

    /// OpenMetrics 1.0 text, families in the order of their names, `# EOF` last.
    package var openMetricsText: String {
        let all = families.withLock { $0 }
        var out = ""
        for (name, family) in all.sorted(by: { $0.key < $1.key }) {
            out += "# TYPE \(name) \(family.type)\n# HELP \(name) \(family.help)\n"
            for (labels, source) in family.series {
                switch source {
                case .counter(let counter): out += "\(name)_total\(Self.text(labels)) \(counter.value)\n"
                case .histogram(let histogram): out += Self.text(name, labels, histogram)
                case .gauge(let read):
                    for (labels, value) in read() { out += "\(name)\(Self.text(labels)) \(value)\n" }
                }
            }
        }
        return out + "# EOF\n"
    }

    private static func text(_ name: String, _ labels: [(String, String)], _ histogram: Histogram) -> String {
        let (cumulative, sum) = histogram.values
        var out = ""
        for (bound, count) in zip(histogram.bounds, cumulative) {
            out += "\(name)_bucket\(text(labels + [("le", String(bound))])) \(count)\n"
        }
        let total = cumulative.last ?? 0
        out += "\(name)_bucket\(text(labels + [("le", "+Inf")])) \(total)\n"
        return out + "\(name)_sum\(text(labels)) \(sum)\n\(name)_count\(text(labels)) \(total)\n"
    }

    private static func text(_ labels: [(String, String)]) -> String {
        if labels.isEmpty { return "" }
        let pairs = labels.map { name, value in
            let escaped = value.map { character in
                switch character {
                case "\\": "\\\\"
                case "\"": "\\\""
                case "\n": "\\n"
                default: String(character)
                }
            }.joined()
            return "\(name)=\"\(escaped)\""
        }
        return "{" + pairs.joined(separator: ",") + "}"
    }
}
