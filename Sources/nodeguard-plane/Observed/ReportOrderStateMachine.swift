/// Whether a node's reports come from one agent with one state folder: each process of an agent has an instance of its
/// own, and each report of a folder a higher generation than the one before.
struct ReportOrderStateMachine: Equatable {
    /// What is odd about a report.
    enum Finding: String {
        /// A new agent counts on from where the folder once was: it was restored from an older copy.
        case setBack = "set-back"
        /// Two agents report under one identity: the machine, or its folder, was copied.
        case cloned
    }

    /// An agent that was replaced comes back only if two run; more of them than this are forgotten.
    static let formerLimit = 16

    private(set) var instance: String
    private(set) var generation: Int64
    /// The newest last.
    private(set) var former: [String]

    init(instance: String, generation: Int64, former: [String] = []) {
        self.instance = instance
        self.generation = generation
        self.former = former
    }

    /// `isRepeated`: it says what the last one said, byte for byte, as a connection that broke may have it.
    mutating func reported(instance new: String, generation number: Int64, isRepeated: Bool = false) -> Finding? {
        if new == instance {
            if number == generation, isRepeated { return nil }
            defer { generation = max(generation, number) }
            return number > generation ? nil : .cloned
        }
        let isFormer = former.contains(new)
        let isSetBack = number <= generation
        former.removeAll { $0 == new }
        former = (former + [instance]).suffix(Self.formerLimit)
        (instance, generation) = (new, number)
        return isFormer ? .cloned : isSetBack ? .setBack : nil
    }
}
