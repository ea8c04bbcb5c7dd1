import Foundation
import Testing

@testable import nodeguard_plane

@Suite struct `Refusals that repeat` {
    private typealias Machine = RefusalCountStateMachine

    /// A reference, so that an expectation may ask the machine itself.
    private final class Counting {
        private var machine = Machine()

        func refused(_ kind: Machine.Kind, at now: Int64) -> Bool { machine.refused(kind, at: now) }
        func passed(at now: Int64) -> [Machine.Counted] { machine.passed(at: now) }
        func notRecorded(_ counted: [Machine.Counted], at now: Int64) { machine.notRecorded(counted, at: now) }
        func ended() -> [Machine.Counted] { machine.ended() }
    }

    private static func kind(_ node: String, reason: String = "revoked") -> Machine.Kind {
        Machine.Kind(cluster: "alpha", node: node, call: "key.unwrap", reason: reason)
    }

    @Test func `are written at once, then counted, and told once a minute`() {
        let machine = Counting()
        let kind = Self.kind("db-1")
        #expect(machine.refused(kind, at: 100))
        for second in 100..<150 { #expect(!machine.refused(kind, at: Int64(second))) }
        #expect(machine.passed(at: 159) == [])
        #expect(machine.passed(at: 160) == [Machine.Counted(kind: kind, count: 50)])
        // The event that told of them began another minute.
        #expect(!machine.refused(kind, at: 161))
        #expect(machine.passed(at: 219) == [])
        #expect(machine.passed(at: 220) == [Machine.Counted(kind: kind, count: 1)])
        // After a quiet minute the next one is news again.
        #expect(machine.passed(at: 280) == [])
        #expect(machine.refused(kind, at: 281))
    }

    @Test func `hide no refusal of another node, call or reason`() {
        let machine = Counting()
        #expect(machine.refused(Self.kind("db-1"), at: 0))
        #expect(machine.refused(Self.kind("db-2"), at: 0))
        #expect(machine.refused(Self.kind("db-1", reason: "expired"), at: 0))
        let stranger = Machine.Kind(cluster: nil, node: nil, call: "key.unwrap", reason: "revoked")
        #expect(machine.refused(stranger, at: 0))
    }

    @Test func `are not lost when the plane ends or its clock is set back`() {
        let machine = Counting()
        let kind = Self.kind("db-1")
        for _ in 0..<3 { _ = machine.refused(kind, at: 1000) }
        #expect(machine.passed(at: 10) == [Machine.Counted(kind: kind, count: 2)])
        #expect(!machine.refused(kind, at: 11))
        #expect(machine.ended() == [Machine.Counted(kind: kind, count: 1)])
        #expect(machine.ended() == [])
    }

    @Test func `that could not be written down are told with those that come`() {
        let machine = Counting()
        let kind = Self.kind("db-1")
        #expect(machine.refused(kind, at: 0))
        machine.notRecorded([Machine.Counted(kind: kind, count: 1)], at: 0)
        #expect(!machine.refused(kind, at: 1))
        let told = machine.passed(at: 60)
        #expect(told == [Machine.Counted(kind: kind, count: 2)])
        machine.notRecorded(told, at: 60)
        #expect(machine.passed(at: 120) == told)
        machine.notRecorded(told, at: 300)
        #expect(machine.ended() == told)
    }

    @Test func `of too many kinds are counted together`() {
        let machine = Counting()
        for index in 0..<Machine.kindLimit { #expect(machine.refused(Self.kind("db-\(index)"), at: 0)) }
        for index in 0..<10 { #expect(!machine.refused(Self.kind("more-\(index)"), at: 0)) }
        #expect(machine.passed(at: 60) == [Machine.Counted(kind: Machine.others, count: 10)])
        #expect(machine.refused(Self.kind("more-1"), at: 61))
    }

    @Test func `are two events in the log, however many they are`() async throws {
        let folder = NSTemporaryDirectory() + "plane-flood-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = try TestStore.makeState(folder)
        let records = RefusalRecords(state: state)
        let event = PlaneEvent(
            name: "key.unwrap", actor: .node(serial: "4A"), outcome: .refused, cluster: "beta", node: "db-1",
            reason: "key-of-another-cluster", detail: "from 192.0.2.1: no")
        for index in 0..<1000 {
            let isWritten = try await records.record(event, now: 1000)
            #expect(isWritten == (index == 0))
        }
        try records.recordPassed(now: 1059)
        try records.recordPassed(now: 1060)
        _ = try await records.record(event, now: 1061)
        try records.recordAll(now: 1062)
        let lines = try await state.database.read { try PlaneLog.last(10, $0).map { try CanonicalJSON($0) } }
        #expect(lines.map { $0["fields"]?["count"]?.integer } == [nil, nil, 999, nil])
        #expect(lines.dropFirst().allSatisfy { $0["fields"]?["node"]?.text == "db-1" })
        #expect(lines.dropFirst().allSatisfy { $0["outcome"]?.text == "refused" })
    }
}
