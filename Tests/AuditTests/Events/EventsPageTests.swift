import Foundation
import Reports
import Testing

@testable import Audit

@Suite struct `The page of events` {
    private static let rows: [(name: String, auditClass: String)] = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        url.append(path: "Sources/Jobs/Audit/Audit.docc/Events.md")
        let text = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 4, cells[0].hasPrefix("`"), cells[0].contains(".") else { return nil }
            return (cells[0].trimmingCharacters(in: ["`"]), cells[1])
        }
    }()

    @Test func `has each event once, and no other`() {
        #expect(Self.rows.map(\.name).sorted() == AuditEventName.allCases.map(\.rawValue).sorted())
    }

    @Test func `tells each event's class`() {
        for row in Self.rows {
            #expect(AuditEventName(rawValue: row.name)?.auditClass.name == row.auditClass, "\(row.name)")
        }
    }

    @Test func `lets no stranger cause a security event`() {
        let names: [AuditEventName] = [
            .connectionRefused, .connectionAccepted, .connectionClosed, .cancelDropped, .banBegan, .banLifted,
        ]
        for name in names {
            #expect(name.auditClass != .security)
        }
    }
}
