/// Turns newcomers away before anything fails for want of memory or descriptors. Sessions stay, and reserved places go
/// last.
struct SheddingStateMachine {
    /// How long a lack of descriptors is told of: it shows only when somebody comes.
    static let descriptorMemory = Duration.seconds(5)

    private let margin: DescriptorMargin?
    private var memory = PressureStateMachine()
    private var lackedDescriptors: (left: Int, at: Duration)?

    /// `descriptors`: how many the process may have; nil: without limit.
    init(descriptors: Int?) { margin = descriptors.map { DescriptorMargin(limit: $0) } }

    mutating func memoryObserved(_ readings: [MemoryReading]) { memory.observed(readings) }

    /// Why newcomers are turned away now, or were a moment ago.
    func pressure(at time: Duration) -> Pressure? {
        if let reading = memory.reading { return .memory(reading) }
        return lackedDescriptors.flatMap { time - $0.at <= Self.descriptorMemory ? .descriptors($0.left) : nil }
    }

    /// `descriptor`: the number of the newcomer's socket; `hasPlace`: one is reserved for it.
    mutating func arrived(_ descriptor: Int, hasPlace: Bool, at time: Duration) throws(Excess) {
        let bearable = hasPlace ? PressureStateMachine.Level.high : .none
        if memory.level > bearable, let reading = memory.reading { throw .pressure(.memory(reading)) }
        guard let (level, left) = margin?.level(descriptor), level != .none else { return }
        lackedDescriptors = (left, time)
        if level > bearable { throw .pressure(.descriptors(left)) }
    }
}

extension AdmissionStateMachine {
    mutating func memoryObserved(_ readings: [MemoryReading]) { shedding.memoryObserved(readings) }

    /// Why newcomers are turned away now, or were a moment ago.
    func pressure(at time: Duration) -> Pressure? { shedding.pressure(at: time) }
}
