import IO
import Reports
import Synchronization

/// Where events wait for the spool: many report from any thread, the spool takes. Bounded; reporting never blocks, and
/// what finds no room is counted and becomes an `audit.gap` event.
final class AuditIntake: Sendable {
    static let eventLimit = 65_536
    /// Room that only security events may use.
    static let securityReserve = 4096
    static let byteLimit = 32 << 20
    /// A commit is made of so much at most, and at once when so much waits.
    static let commitBytes = 1 << 20

    struct Taken: Sendable {
        var events: [AuditEvent] = []
        /// Events that found no room since the last time, by class.
        var lost: [AuditClass: UInt64] = [:]
    }

    private struct State {
        var events: [AuditEvent] = []
        var bytes = 0
        var lost: [AuditClass: UInt64] = [:]
        var isUrgent = false
        var isClosed = false

        mutating func take() -> Taken {
            defer { lost = [:] }
            var taken = Taken(lost: lost)
            if bytes <= AuditIntake.commitBytes {
                swap(&taken.events, &events)
                (bytes, isUrgent) = (0, false)
                return taken
            }
            var size = 0
            let count = events.firstIndex { event in
                let next = AuditIntake.size(event)
                if size > 0, size + next > AuditIntake.commitBytes { return true }
                size += next
                return false
            }
            taken.events = Array(events.prefix(count ?? events.count))
            events.removeFirst(taken.events.count)
            bytes -= size
            if events.isEmpty { isUrgent = false }
            return taken
        }
    }

    private let state = Mutex(State())
    /// Rings when the first event arrives, and when events should not wait for company.
    let alarm = Alarm(label: "audit-intake")

    /// False when the event found no room.
    @discardableResult
    func report(_ event: AuditEvent) -> Bool {
        let size = Self.size(event)
        let auditClass = event.name.auditClass
        let (isTaken, mustRing) = state.withLock { state -> (Bool, Bool) in
            let limit = Self.eventLimit - (auditClass == .security ? 0 : Self.securityReserve)
            let byteLimit = auditClass == .security ? Self.byteLimit : Self.byteLimit / 16 * 15
            guard !state.isClosed, state.events.count < limit, state.bytes + size <= byteLimit else {
                state.lost[auditClass, default: 0] += 1
                return (false, false)
            }
            let wasEmpty = state.events.isEmpty
            let wasUrgent = state.isUrgent
            state.events.append(event)
            state.bytes += size
            if auditClass == .security || state.bytes >= Self.commitBytes { state.isUrgent = true }
            return (true, wasEmpty || state.isUrgent && !wasUrgent)
        }
        if mustRing { alarm.ring() }
        return isTaken
    }

    /// The oldest events, up to about `commitBytes`.
    func take() -> Taken { state.withLock { $0.take() } }

    var isEmpty: Bool { state.withLock { $0.events.isEmpty && $0.lost.isEmpty } }
    /// Whether nothing is there, and whether something must not wait.
    var waiting: (isEmpty: Bool, isUrgent: Bool) {
        state.withLock { ($0.events.isEmpty && $0.lost.isEmpty, $0.isUrgent) }
    }
    var isUrgent: Bool { state.withLock { $0.isUrgent } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// No event is taken from here on; what waits can still be taken.
    func close() {
        state.withLock { $0.isClosed = true }
        alarm.ring()
    }

    /// Without rendering the event: what it says, and some for the rest.
    private static func size(_ event: AuditEvent) -> Int {
        event.fields.reduce(300) { $0 + $1.key.utf8.count + size($1.value) }
    }

    private static func size(_ value: JSONValue) -> Int {
        switch value {
        case .null, .boolean, .integer, .number: 16
        case .string(let text): text.utf8.count + 8
        case .array(let values): values.reduce(16) { $0 + size($1) }
        case .object(let members): members.reduce(16) { $0 + $1.key.utf8.count + size($1.value) }
        }
    }
}
