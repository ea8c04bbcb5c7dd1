/// Which refusals become events: the first of each kind at once, those that follow within a minute as one event with
/// their number. A flood of whatever length is then one event a minute for each node, call and reason.
struct RefusalCountStateMachine {
    struct Kind: Hashable, Sendable {
        /// nil: somebody without a certificate of ours.
        let cluster: String?
        let node: String?
        let call: String
        let reason: String
    }

    struct Counted: Equatable, Sendable {
        let kind: Kind
        let count: Int64
    }

    private struct Window {
        let began: Int64
        var count: Int64
    }

    static let window: Int64 = 60
    /// More kinds than this at once are counted together.
    static let kindLimit = 4096
    static let others = Kind(cluster: nil, node: nil, call: "other", reason: "too-many-kinds")

    private var windows: [Kind: Window] = [:]

    /// True: write it down now.
    mutating func refused(_ kind: Kind, at now: Int64) -> Bool {
        if windows[kind] != nil {
            windows[kind]?.count += 1
            return false
        }
        guard windows.count < Self.kindLimit else {
            windows[Self.others, default: Window(began: now, count: 0)].count += 1
            return false
        }
        windows[kind] = Window(began: now, count: 0)
        return true
    }

    /// Those whose minute is over, to be written down; for them another one begins.
    mutating func passed(at now: Int64) -> [Counted] {
        let over = windows.filter { now - $0.value.began >= Self.window || now < $0.value.began }
        for (kind, window) in over {
            windows[kind] = window.count > 0 ? Window(began: now, count: 0) : nil
        }
        return over.compactMap { $0.value.count > 0 ? Counted(kind: $0.key, count: $0.value.count) : nil }
    }

    /// They could not be written down, and are told with what comes.
    mutating func notRecorded(_ counted: [Counted], at now: Int64) {
        for entry in counted { windows[entry.kind, default: Window(began: now, count: 0)].count += entry.count }
    }

    /// All that is still counted.
    mutating func ended() -> [Counted] {
        defer { windows = [:] }
        return windows.compactMap { $0.value.count > 0 ? Counted(kind: $0.key, count: $0.value.count) : nil }
    }
}
