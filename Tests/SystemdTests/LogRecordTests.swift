import Logging
import Reports
import Testing

@testable import Systemd

@Suite struct `A log record` {
    private func record(_ message: String, _ metadata: [(key: String, value: String)] = []) -> LogRecord {
        LogRecord(
            time: Timestamp(nanoseconds: 1_795_517_760_123_456_000), level: .warning, label: "proxy", message: message,
            metadata: metadata)
    }

    @Test func `is one line with its fields at the end`() {
        let line = record("refused", [("listener", "ysql"), ("reason", "no rule allows it")]).line
        #expect(line == #"2026-11-24T10:56:00.123456Z warning proxy: refused listener=ysql reason="no rule allows it""#)
    }

    @Test func `cannot be broken in two by what a peer sent`() {
        let line = record("bad\nname\u{1B}[2J", [("peer", "x\ny=1")]).line
        #expect(!line.contains("\n"))
        #expect(!line.contains("\u{1B}"))
        #expect(line.hasSuffix(#"peer="x\ny=1""#))
    }

    @Test func `names its journal fields as journald accepts them`() {
        let fields = record("refused", [("peer-address", "127.0.0.1:4"), ("tls.version", "TLSv1.3")]).journalFields
        #expect(fields.contains("PRIORITY=4"))
        #expect(fields.contains("MESSAGE=refused"))
        #expect(fields.contains("SYSLOG_IDENTIFIER=nodeguard"))
        #expect(fields.contains("NODEGUARD_PEER_ADDRESS=127.0.0.1:4"))
        #expect(fields.contains("NODEGUARD_TLS_VERSION=TLSv1.3"))
    }

    @Test func `is cut where a value is too long to be a value`() {
        let long = String(repeating: "a", count: 10_000)
        #expect(record("m", [("k", long)]).line.utf8.count < 4300)
    }
}
