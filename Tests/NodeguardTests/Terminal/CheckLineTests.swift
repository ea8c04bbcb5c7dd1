import Reports
import Testing

@testable import nodeguard

@Suite struct `The monitor's line` {
    private let now: Int64 = 1_800_000_000
    private let limits = CheckLine.Limits(certificateDays: 7, spoolSeconds: 60)

    private func line(_ document: JSONValue) -> CheckLine { CheckLine(document, now: now, limits: limits) }

    @Test func `is OK for a node that is ready`() {
        let line = line([
            "state": "ready", "certificates": [["role": "database", "not_after": "2027-02-15T08:00:00Z"]],
            "audit": ["oldest_age_seconds": 1, "spooled_events": 2],
        ])
        #expect(line.status == .ready)
        #expect(line.text == "NODEGUARD OK - ready | certificate_days=31;7:;0: spool_age=1s;60 spool_events=2")
    }

    @Test(arguments: [
        ("degraded", VerbStatus.degraded, "WARNING"), ("starting", .failed, "CRITICAL"),
        ("draining", .failed, "CRITICAL"), ("failed", .failed, "CRITICAL"), ("nonsense", .failed, "CRITICAL"),
    ])
    func `says how bad a state is`(state: String, status: VerbStatus, word: String) {
        let line = line(["state": .string(state)])
        #expect(line.status == status)
        #expect(line.text == "NODEGUARD \(word) - \(state)")
    }

    @Test func `names reasons and unmet conditions`() {
        let line = line([
            "state": "degraded",
            "reasons": [["code": "A", "severity": "warn"], ["code": "B", "severity": "info"]],
            "conditions": [["name": "spool", "met": false], ["name": "listeners", "met": true]],
        ])
        #expect(line.text == "NODEGUARD WARNING - degraded, waits for spool, A")
    }

    @Test func `says whom a reason is about, and is critical while a listener has no database`() {
        let reasons: [JSONValue] = [
            ["code": "BACKUP_FAILED", "severity": "warn", "subject": "base"],
            ["code": "BACKEND_DOWN", "severity": "warn", "subject": "listener ysql"],
        ]
        let some = line(["state": "degraded", "reasons": .array(reasons)])
        #expect(some.text == "NODEGUARD WARNING - degraded, BACKUP_FAILED (base), BACKEND_DOWN (listener ysql)")
        let all = line([
            "state": "degraded",
            "reasons": [["code": "BACKEND_DOWN", "severity": "error", "subject": "listener ysql"]],
        ])
        #expect(all.status == .failed && all.text == "NODEGUARD CRITICAL - degraded, BACKEND_DOWN (listener ysql)")
    }

    @Test func `warns before a certificate expires, and is critical once it has`() {
        let soon = line([
            "state": "ready",
            "certificates": ["roles": [["role": "database", "not_after": "2027-01-20T08:00:00Z"], ["role": "x"]]],
        ])
        #expect(soon.status == .degraded)
        #expect(soon.text.contains("certificate database expires in 5 d"))
        let late = line([
            "state": "degraded", "certificates": [["role": "database", "not_after": "2027-01-15T07:59:59Z"]],
        ])
        #expect(late.status == .failed)
        #expect(late.text.contains("CRITICAL - degraded, certificate database has expired"))
    }

    @Test func `warns of events that wait too long, and never makes a bad state better`() {
        #expect(line(["state": "ready", "audit": ["oldest_age_seconds": 61]]).status == .degraded)
        #expect(line(["state": "failed", "audit": ["oldest_age_seconds": 61]]).status == .failed)
    }
}
