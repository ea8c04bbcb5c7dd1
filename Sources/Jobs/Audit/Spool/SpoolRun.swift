import Reports

/// The events of one commit on their way to one row: each its class (1 octet), the length of its text (4 octets, the
/// lowest first) and its canonical text.
struct SpoolRun: Sendable {
    static let headerSize = 5

    let first: Int64
    private(set) var last: Int64
    private var classes: AuditClasses = []
    private var time: Int64 = 0
    private var payload: [UInt8] = []

    init(first: Int64) {
        self.first = first
        last = first - 1
    }

    var isEmpty: Bool { last < first }
    /// Of the row that it becomes.
    var usage: Int64 { isEmpty ? 0 : Int64(payload.count + SpoolRow.overhead) }
    var row: SpoolRow { SpoolRow(first: first, last: last, classes, time: time, payload: payload) }

    /// Adds an event under the next number and returns its canonical text.
    mutating func append(_ event: AuditEvent, _ renderer: EventRenderer) -> ArraySlice<UInt8> {
        let seq = last + 1
        return append(event.name.auditClass, event.time.nanoseconds) { payload in
            renderer.append(event, to: &payload) { $0.append(contentsOf: String(seq).utf8) }
        }
    }

    /// Adds an event that has its number already, which is the next one.
    @discardableResult
    mutating func append(_ auditClass: AuditClass, time: Int64, line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        append(auditClass, time) { $0.append(contentsOf: line) }
    }

    private mutating func append(
        _ auditClass: AuditClass, _ time: Int64, _ write: (inout [UInt8]) -> Void
    ) -> ArraySlice<UInt8> {
        if isEmpty { self.time = time }
        let start = payload.count + Self.headerSize
        payload.append(UInt8(truncatingIfNeeded: auditClass.rawValue))
        payload.append(contentsOf: [0, 0, 0, 0])
        write(&payload)
        let length = UInt32(payload.count - start)
        for index in 0..<4 { payload[start - 4 + index] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(index))) }
        classes.insert(AuditClasses(auditClass))
        last += 1
        return payload[start...]
    }

    /// Takes a payload apart; nothing is copied.
    struct Reader {
        private let payload: [UInt8]
        private var position = 0

        init(_ payload: [UInt8]) { self.payload = payload }

        var isAtEnd: Bool { position == payload.count }

        /// nil if there is none, or it has another form.
        mutating func next() -> (AuditClass, ArraySlice<UInt8>)? {
            guard payload.count - position >= SpoolRun.headerSize,
                let auditClass = AuditClass(rawValue: Int64(payload[position]))
            else { return nil }
            let start = position + SpoolRun.headerSize
            let length = (0..<4).reduce(0) { $0 | Int(payload[position + 1 + $1]) << (8 * $1) }
            guard length <= payload.count - start else { return nil }
            position = start + length
            return (auditClass, payload[start..<position])
        }
    }
}
