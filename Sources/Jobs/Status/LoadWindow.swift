/// Turns the counters of lanes, which only grow, into their load over the last seconds. Two samples are kept: the
/// answer compares with the older one, so that two queries in a row do not divide by almost nothing.
struct LoadWindow {
    /// The younger sample becomes the older one after this many seconds.
    static let width = 5.0

    private struct Sample {
        let time: Double
        let busy: [String: Double]
    }

    private var older: Sample
    private var younger: Sample

    /// `time` is in seconds of a clock that never goes back; all lanes were idle until then.
    init(time: Double) {
        older = Sample(time: time, busy: [:])
        younger = older
    }

    /// The share of the time since the older sample that each lane was busy, 0 to 1, in the order of `lanes`.
    mutating func sampled(_ lanes: [LaneSample], at time: Double) -> [Double] {
        let now = Sample(
            time: time, busy: Dictionary(lanes.map { ($0.label, $0.busySeconds) }, uniquingKeysWith: { $1 }))
        if time - younger.time >= Self.width {
            older = younger
            younger = now
        }
        let elapsed = time - older.time
        return lanes.map { lane in
            let busy = lane.busySeconds - (older.busy[lane.label] ?? 0)
            return elapsed > 0 ? min(1, max(0, busy / elapsed)) : 0
        }
    }
}
