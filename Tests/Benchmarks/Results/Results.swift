/// What is measured of a work, in which unit.
struct Metric: Hashable, Sendable {
    let name: String
    let unit: String
    var isBetterWhenLarger = false

    static let rate = Metric(name: "rate", unit: "1/s", isBetterWhenLarger: true)
    static let stormRate = Metric(name: "handshakes", unit: "1/s", isBetterWhenLarger: true)
    static let transactions = Metric(name: "transactions", unit: "1/s", isBetterWhenLarger: true)
    static let throughput = Metric(name: "rate", unit: "MiB/s", isBetterWhenLarger: true)
    static let latency50 = Metric(name: "latency p50", unit: "µs")
    static let latency99 = Metric(name: "latency p99", unit: "µs")
    static let cpuEach = Metric(name: "CPU each", unit: "µs")
    static let cpuOfBytes = Metric(name: "CPU", unit: "s/GiB")
    static let subjectBusy = Metric(name: "subject busy", unit: "cores")
    static let generatorBusy = Metric(name: "generator busy", unit: "cores")
    static let residentMiB = Metric(name: "resident", unit: "MiB")
    static let residentKiB = Metric(name: "resident", unit: "KiB")
}

/// All values of a run, by work, metric and subject, in the order in which they first came; one value a round.
struct Results {
    struct Key: Hashable {
        let work: String
        let metric: Metric
    }

    private(set) var keys: [Key] = []
    private(set) var subjects: [String] = []
    private var values: [Key: [String: [Double]]] = [:]

    mutating func add(_ work: String, _ metric: Metric, _ subject: String, _ value: Double?) {
        guard let value else { return }
        let key = Key(work: work, metric: metric)
        if values[key] == nil { keys.append(key) }
        if !subjects.contains(subject) { subjects.append(subject) }
        values[key, default: [:]][subject, default: []].append(value)
    }

    func values(_ key: Key, _ subject: String) -> [Double]? { values[key]?[subject] }

    /// The median of the rounds' ratios, each of two values of the same round.
    func ratio(_ key: Key, _ subject: String, to other: String) -> Double? {
        guard let first = values(key, subject), let second = values(key, other), first.count == second.count,
            !second.contains(0)
        else { return nil }
        return zip(first, second).map { $0 / $1 }.median
    }

    /// Of those that are measured at this, `subject` and what needs no program in between left out.
    func bestPeer(_ key: Key, of subject: String) -> String? {
        let peers = subjects.filter { $0 != subject && $0 != "direct" && values(key, $0) != nil }
        let ranked = peers.compactMap { peer in values(key, peer).map { (peer, $0.median) } }
        return (key.metric.isBetterWhenLarger ? ranked.max { $0.1 < $1.1 } : ranked.min { $0.1 < $1.1 })?.0
    }
}

extension [Double] {
    /// Of at least one value.
    var median: Double {
        let ordered = sorted()
        return (ordered[(count - 1) / 2] + ordered[count / 2]) / 2
    }
}

extension [UInt32] {
    /// nil without values.
    func percentile(_ share: Double) -> Double? {
        if isEmpty { return nil }
        let ordered = sorted()
        return Double(ordered[Swift.min(count - 1, Int(Double(count) * share))])
    }
}
