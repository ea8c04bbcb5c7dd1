import Foundation
import PlaneAPI
import Testing

@Suite struct `audit verify` {
    let plane: RunningPlane
    let log: AuditLogFixture

    init() throws {
        plane = try RunningPlane()
        let node = try TestNode.enrolled(plane, "db-1")
        var log = AuditLogFixture()
        log.append(12)
        _ = try log.register(plane, as: node)
        for range in [1...5, 6...6, 7...12] { try #require(try log.send(range, to: plane, as: node).status == 200) }
        self.log = log
    }

    @Test(arguments: [
        "UPDATE audit_events SET event = CAST(replace(CAST(event AS TEXT), 'shop', 'shot') AS BLOB) WHERE seq = 4",
        "UPDATE audit_events SET event = event || x'20' WHERE seq = 12",
        "DELETE FROM audit_events WHERE seq = 6",
        "DELETE FROM audit_events WHERE seq > 6",
        "DELETE FROM audit_batches WHERE last = 12",
        "DELETE FROM audit_events WHERE seq > 6; DELETE FROM audit_batches WHERE last > 6",
        "UPDATE audit_batches SET checkpoint = replace(checkpoint, 'nodeguard/db-1', 'nodeguard/db-2') WHERE last = 5",
        "UPDATE audit_batches SET cosignature = (SELECT cosignature FROM audit_batches WHERE last = 5) WHERE last = 6",
        "UPDATE audit_logs SET public_key = x'0000000000000000000000000000000000000000000000000000000000000001'",
        "UPDATE audit_logs SET node = 'db-2'",
        """
        UPDATE audit_events SET event = (SELECT event FROM audit_events WHERE seq = 8) WHERE seq = 9
        """,
    ])
    func `finds what was changed in the store`(sql: String) throws {
        #expect(try plane.verb("audit", "verify").hasPrefix("intact: 12 events in 1 log"))
        try TestStore.change(plane.state, sql)
        let output = try plane.failingVerb("audit", "verify")
        #expect(output.status == 1)
        #expect(output.line.hasPrefix("BROKEN: 1 of 1 log;") && output.line.split(separator: "\n").count == 1)
        let json = try plane.failingVerb("audit", "verify", "--json")
        #expect(json.text.contains(#""intact":false"#))
    }

    @Test func `and tail, export and list read a log beside the running plane`() throws {
        let tail = try plane.verb("audit", "tail", "-n", "3").split(separator: "\n")
        #expect(tail.count == 3)
        #expect(tail[2].hasPrefix("2026-11-24T10:56:00Z  db-1#12  connection.accepted  success  listener=ysql"))
        #expect(try plane.verb("audit", "tail", "--node", "db-2").isEmpty)
        #expect(try plane.verb("audit", "tail", "-n", "1", "--json") == log.events.last)
        let export = try plane.verb("audit", "export", "--node", "db-1")
        let parts = export.components(separatedBy: "\n\n")
        #expect(parts[0] == log.events.joined(separator: "\n"))
        let note = (parts[1] + "\n\n" + parts[2]).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(try log.checkpoint(12).hasPrefix(note.prefix(5).joined(separator: "\n")))
        #expect(note.last?.hasPrefix("\u{2014} nodeguard-plane/") == true)
        #expect(try plane.failingVerb("audit", "export", "--node", "db-2").standardError.contains("no such log"))
        let keys = try plane.verb("audit", "keys", "--node", "db-1").split(separator: "\n")
        #expect(keys.count == 2 && keys[0].hasPrefix("nodeguard/db-1/"))
        let witness = try plane.call("GET", AuditBatches.witnessPath).text.trimmingCharacters(in: .newlines)
        #expect(keys.last.map(String.init) == witness)
        #expect(try plane.failingVerb("audit", "verify", "--node", "db-2").standardError.contains("no audit log"))
    }
}
