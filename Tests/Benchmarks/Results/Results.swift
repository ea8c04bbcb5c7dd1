/// What is measured of a work, in which unit.
struct Metric: Hashable, Sendable {
    let name: String
    let unit: String
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

    mutating func add(_ work: String, _ name: String, _ unit: String, _ subject: String, _ value: Double?) {
        guard let value else { return }
        let key = Key(work: work, metric: Metric(name: name, unit: unit))
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
