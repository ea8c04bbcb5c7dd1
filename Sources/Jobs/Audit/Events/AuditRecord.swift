import Reports

/// Whose log it is, and which one.
struct AuditPlace: Sendable, Equatable {
    let node: String
    let cluster: String
    let epoch: UInt64
}

/// An event in its canonical form, all but its number: a run of dropped events shares one record.
struct AuditRecord: Sendable, Equatable {
    /// Stands where the number goes. Canonical JSON never contains it: control characters are escaped.
    private static let gapMark: UInt8 = 0

    /// The canonical text with `gapMark` in the place of the number.
    let template: [UInt8]

    init(_ event: AuditEvent, _ renderer: EventRenderer) {
        var template: [UInt8] = []
        renderer.append(event, to: &template) { $0.append(Self.gapMark) }
        self.template = template
    }

    /// The event's canonical JSON, which is the leaf's data.
    static func line(_ template: [UInt8], seq: Int64) -> [UInt8] {
        guard let mark = template.firstIndex(of: gapMark) else { return template }
        return template[..<mark] + Array(String(seq).utf8) + template[(mark + 1)...]
    }

    func line(seq: Int64) -> [UInt8] { Self.line(template, seq: seq) }
}
