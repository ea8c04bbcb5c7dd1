import OpenSSL
import Reports
import Testing

@testable import Audit

@Suite struct `An event's canonical text` {
    private let place = AuditPlace(node: "db-1", cluster: "cluster-a", epoch: 1_700_000_000_000)
    private let time = Timestamp(nanoseconds: 1_795_472_542_495_123_456)

    @Test func `has the stated keys in the order of their bytes`() {
        let event = AuditEvent(
            .connectionRefused, .refused, at: time,
            fields: ["reason": "unknown \"issuer\"\n", "peer.address": "10.0.0.9:4711", "count": 3, "b": true])
        let line = AuditRecord(event, EventRenderer(place, boot: "b0")).line(seq: 7)
        #expect(
            String(decoding: line, as: UTF8.self) == """
                {"boot":"b0","cluster":"cluster-a","epoch":1700000000000,"fields":{"b":true,"count":3,\
                "peer.address":"10.0.0.9:4711","reason":"unknown \\"issuer\\"\\n"},"name":"connection.refused",\
                "node":"db-1","outcome":"refused","seq":7,"time":"2026-11-23T22:22:22.495123Z"}
                """)
    }

    @Test func `is what JSONValue would write, for every name and outcome`() {
        for name in AuditEventName.allCases {
            for outcome in AuditOutcome.allCases {
                let fields: AuditFields = ["z": .array([1, .null]), "a": ["y": 1, "x": "\u{0}\u{1F}\u{7F}é"]]
                let event = AuditEvent(name, outcome, at: time, fields: fields)
                let whole = JSONValue.object([
                    "boot": "b", "cluster": "cluster-a", "epoch": .count(place.epoch), "fields": fields.object,
                    "name": .string(name.rawValue), "node": "db-1", "outcome": .string(outcome.rawValue),
                    "seq": .integer(.max), "time": .string(time.precise),
                ])
                let line = AuditRecord(event, EventRenderer(place, boot: "b")).line(seq: .max)
                #expect(String(decoding: line, as: UTF8.self) == whole.text)
            }
        }
    }

    @Test func `is never longer than its limit, and tells what was cut`() {
        let long = String(repeating: "x", count: 100_000)
        var fields: AuditFields = ["statement": .string(long), "short": "s"]
        let cut = text(fields)
        let digest = hexadecimal(Digest.sha256(Array(long.utf8)))
        #expect(cut.contains("\"statement\":{\"bytes\":100000,\"sha256\":\"\(digest)\",\"start\":\"xxxx"))
        #expect(cut.contains("\"short\":\"s\""))
        for number in 0..<1000 { fields["field \(number)"] = .string(String(repeating: "y", count: 200)) }
        #expect(text(fields).utf8.count < EventRenderer.sizeLimit)
        #expect(text(fields).contains("\"fields\":{\"truncated\":{\"bytes\":"))
    }

    @Test func `writes a whole number in one form`() {
        #expect(
            text(["a": .number(2), "b": .array([.number(-3)]), "c": .number(0.5)])
                .contains("{\"a\":2,\"b\":[-3],\"c\":0.5}"))
    }

    private func text(_ fields: AuditFields) -> String {
        let event = AuditEvent(.controlCall, at: time, fields: fields)
        let record = AuditRecord(event, EventRenderer(place, boot: "b"))
        return String(decoding: record.line(seq: 1), as: UTF8.self)
    }
}
