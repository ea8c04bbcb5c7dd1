import Reports
import TestSupport
import Testing

@testable import Audit

@Suite struct `A full spool` {
    private let scenery: SpoolScenery
    private let store: SpoolStore
    private static let limit: Int64 = 200_000

    init() throws {
        scenery = try SpoolScenery(limit: Self.limit)
        store = try scenery.create()
    }

    private func append(
        _ numbers: Range<Int>, _ name: AuditEventName = .connectionAccepted, inCommitsOf size: Int = 9
    ) throws -> UInt64 {
        var dropped: UInt64 = 0
        for first in stride(from: numbers.lowerBound, to: numbers.upperBound, by: size) {
            let events = (first..<min(first + size, numbers.upperBound)).map { event($0, name) }
            dropped += try store.append(events, at: .now).dropped.values.reduce(0, +)
        }
        return dropped
    }

    @Test func `drops the oldest, says so under their numbers, and has no hole`() throws {
        let dropped = try append(1..<1500, inCommitsOf: 1)
        #expect(dropped > 700)
        #expect(store.state.usage <= Self.limit)
        let lines = try store.lines(from: 1)
        #expect(lines.map(seq) == Array(1..<1500))
        let gaps = lines.filter { name($0) == "audit.gap" }
        #expect(UInt64(gaps.count) == dropped)
        #expect(gaps.map(seq) == Array(1...Int(dropped)))
        #expect(gaps.allSatisfy { field($0, "first") == 1 && field($0, "last") == Int(dropped) })
        #expect(gaps.allSatisfy { field($0, "count") == Int(dropped) })
        #expect(store.state.tree == tree(over: lines))
    }

    @Test func `never drops a security event`() throws {
        _ = try append(1..<20, .controlCall)
        _ = try append(20..<3000)
        _ = try append(3000..<3020, .trustChanged)
        _ = try append(3020..<6000)
        let lines = try store.lines(from: 1)
        #expect(lines.map(seq) == Array(1..<6000))
        #expect(lines.filter { name($0) == "control.call" }.compactMap { field($0, "number") } == Array(1..<20))
        #expect(lines.filter { name($0) == "trust.changed" }.compactMap { field($0, "number") } == Array(3000..<3020))
        #expect(store.state.usage <= Self.limit)
    }

    @Test func `grows beyond its limit for security events alone`() throws {
        #expect(try append(1..<1300, .controlCall) == 0)
        #expect(store.state.usage > Self.limit)
        #expect(try store.lines(from: 1).compactMap { field($0, "number") } == Array(1..<1300))
    }

    @Test func `leaves what was offered to the plane as it was`() throws {
        _ = try append(1..<200)
        let offered = try store.makeBatch(first: 1, count: 150)
        #expect(try append(200..<3000) > 0)
        #expect(try store.makeBatch(first: 1, count: 150) == offered)
        let lines = try store.lines(from: 1)
        #expect(lines.prefix(150).allSatisfy { name($0) == "connection.accepted" })
        #expect(name(lines[150]) == "audit.gap")
        #expect(store.state.tree == tree(over: lines))
    }

    @Test func `ships in the middle of a run of dropped events, and drops on`() throws {
        _ = try append(1..<3000)
        let lines = try store.lines(from: 1)
        // What is asked for above is offered now; a new store knows less.
        let batch = try store.makeBatch(first: 1, count: 700)
        #expect(batch.lines.allSatisfy { name($0) == "audit.gap" })
        try store.acknowledge(through: 700, cosigned: nil)
        #expect(store.state.shipped == tree(over: Array(lines.prefix(700))))
        try store.endCleanly()
        let again = try scenery.open()
        _ = try again.append((3000..<4000).map { event($0) }, at: .now)
        let rest = try again.lines(from: 701)
        #expect(rest.map(seq) == Array(701..<4000))
        #expect(Array(rest.prefix(2299)) == Array(lines[700...]))
        #expect(again.state.tree == tree(over: lines + rest.dropFirst(2299)))
    }

    @Test func `forgets what the plane has before it drops anything`() throws {
        _ = try append(1..<400)
        while store.state.acknowledged < store.state.last {
            let batch = try store.makeBatch(first: store.state.acknowledged + 1, count: 1000)
            try store.acknowledge(through: Int64(batch.last), cosigned: nil)
        }
        #expect(store.keptBytes > 0)
        #expect(try append(400..<750) == 0)
        #expect(store.state.usage <= Self.limit)
    }

    @Test func `drops inside a commit what it may, and keeps the rest of it as it was`() throws {
        for start in stride(from: 1, to: 3000, by: 50) {
            let events = (start..<start + 50).map { number -> AuditEvent in
                // Security events alone, and several in a row.
                event(number, number % 10 == 0 || number % 50 > 45 ? .controlCall : .connectionClosed)
            }
            _ = try store.append(events, at: .now)
        }
        let lines = try store.lines(from: 1)
        #expect(lines.map(seq) == Array(1...3000))
        #expect(store.state.tree == tree(over: lines))
        #expect(try store.state.usage == store.storedUsage())
        let kept = lines.filter { name($0) == "control.call" }.compactMap { field($0, "number") }
        #expect(kept == (1...3000).filter { $0 % 10 == 0 || $0 % 50 > 45 })
        #expect(lines.contains { name($0) == "audit.gap" })
        for line in lines where name(line) != "audit.gap" { #expect(field(line, "number") == seq(line)) }
        try store.endCleanly()
        #expect(try scenery.open().lines(from: 1) == lines)
    }

    @Test func `counts what it holds, whatever was dropped and acknowledged`() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<120 {
            let count = Int.random(in: 1...60, using: &generator)
            _ = try store.append(
                (0..<count).map { _ in event(1, Bool.random() ? .controlCall : .connectionClosed) }, at: .now)
            if Int.random(in: 0..<4) == 0, store.state.acknowledged < store.state.last {
                let batch = try store.makeBatch(first: store.state.acknowledged + 1, count: .random(in: 1...100))
                try store.acknowledge(through: Int64.random(in: Int64(batch.first)...Int64(batch.last)), cosigned: nil)
            }
            #expect(try store.state.usage == store.storedUsage())
        }
        let rest = try store.lines(from: store.state.acknowledged + 1)
        #expect(rest.map(seq) == Array(Int(store.state.acknowledged) + 1...Int(store.state.last)))
    }
}
