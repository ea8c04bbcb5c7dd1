import Foundation
import IO
import Reports
import TestSupport
import Testing

@testable import Audit

/// What a crash, a disk or an administrator may do to each file of a log.
@Suite struct `A damaged spool` {
    enum Part: String, CaseIterable, CustomTestStringConvertible {
        case database = "audit.sqlite"
        case log = "audit.sqlite-wal"
        case index = "audit.sqlite-shm"
        case key = "audit.key"
        case head = "audit.head"
        var testDescription: String { rawValue }
    }

    enum Damage: CaseIterable {
        case deleted, emptied, cutInHalf, cutByOne, bitsFlipped, zeroed, garbage, swapped, folder
    }

    private static let events = 150

    /// A crash image with so many events, the first hundred acknowledged.
    private func crashed() throws -> SpoolScenery {
        let scenery = try SpoolScenery()
        let store = try scenery.create()
        for start in stride(from: 1, to: Self.events, by: 10) {
            _ = try store.append((start..<start + 10).map { event($0) }, at: .now)
            if start == 101 {
                _ = try store.makeBatch(first: 1, count: 100)
                try store.acknowledge(through: 100, cosigned: nil)
            }
        }
        return try scenery.image()
    }

    @Test(arguments: Part.allCases, Damage.allCases)
    func `is recovered or put aside, and service goes on`(part: Part, damage: Damage) async throws {
        let scenery = try crashed()
        try await apply(damage, to: part, scenery)
        try await checkService(scenery)
    }

    @Test(arguments: [Part.database, .log, .head, .key])
    func `with any single bit flipped is recovered or put aside`(part: Part) async throws {
        let base = try crashed()
        let size = try base.directory.read(part.rawValue).count
        var offsets = Set([0, 16, 24, 32, 56, 100, size - 1])
        for step in 0..<12 { offsets.insert(size * step / 12) }
        for offset in offsets.sorted() where offset < size {
            let scenery = try base.image()
            var bytes = try scenery.directory.read(part.rawValue)
            bytes[offset] ^= 1 << UInt8(offset % 8)
            try scenery.directory.write(bytes, to: part.rawValue)
            try await checkService(scenery)
        }
    }

    @Test func `whose write-ahead log was cut anywhere never gives a number out twice`() async throws {
        let base = try crashed()
        let log = try base.directory.read(Part.log.rawValue)
        for step in 0..<10 {
            let scenery = try base.image()
            try scenery.directory.write(Array(log.prefix(log.count * step / 10)), to: Part.log.rawValue)
            try await checkService(scenery)
            #expect(!scenery.quarantined().isEmpty, "cut after \(step)/10")
        }
    }

    @Test func `of another node is put aside`() async throws {
        var scenery = try crashed()
        scenery.configuration.node = "db-2"
        let spool = scenery.spool()
        _ = await spool.drain(AuditIntake())
        #expect(await spool.tail(10).map(name) == ["state.quarantined"])
        #expect(await spool.tail(10).first?.contains("belongs to node db-1") == true)
    }

    @Test func `that an older copy took the place of is put aside`() async throws {
        let scenery = try SpoolScenery()
        let store = try scenery.create()
        _ = try store.append([event(1)], at: .now)
        let old = try scenery.image()
        _ = try store.append([event(2)], at: .now)
        let new = try scenery.image()
        for part in [Part.database, .log] {
            try new.directory.write(try old.directory.read(part.rawValue), to: part.rawValue)
        }
        try await checkService(new, events: 2)
        #expect(Set(new.quarantined()).isSuperset(of: ["audit.sqlite", "audit.head", "audit.key"]))
    }

    @Test func `that is removed while it is in use is noticed with the next event`() async throws {
        let scenery = try SpoolScenery()
        let spool = scenery.spool()
        let intake = AuditIntake()
        intake.report(event(1))
        #expect(await spool.drain(intake) == .done)
        try Files.remove(scenery.files.database)
        intake.report(event(2))
        while await spool.drain(intake) == .more {}
        let lines = await spool.tail(10)
        #expect(lines.map(name) == ["state.quarantined", "connection.accepted"])
        #expect(Files.exists(scenery.files.database))
    }

    @Test func `raises a reason until its folder is removed, and counts`() async throws {
        let scenery = try crashed()
        try await apply(.garbage, to: .key, scenery)
        let board = HealthBoard(conditions: ["spool"])
        let metrics = Metrics()
        let spool = scenery.spool(board, metrics)
        let intake = AuditIntake()
        while await spool.drain(intake) == .more {}
        #expect(board.snapshot.reasons.map(\.code) == ["AUDIT_SPOOL_QUARANTINED"])
        #expect(board.snapshot.isReady)
        #expect(metrics.openMetricsText.contains("nodeguard_audit_quarantined_total 1\n"))
        try Files.removeTree(scenery.directory.file("quarantine"))
        intake.report(event(1))
        while await spool.drain(intake) == .more {}
        #expect(board.snapshot.reasons == [])
    }

    // MARK: scenery

    private func apply(_ damage: Damage, to part: Part, _ scenery: SpoolScenery) async throws {
        let path = scenery.directory.file(part.rawValue)
        var bytes = (try? scenery.directory.read(part.rawValue)) ?? [UInt8](repeating: 7, count: 4096)
        switch damage {
        case .deleted:
            if Files.exists(path) { try Files.remove(path) }
            return
        case .folder:
            if Files.exists(path) { try Files.remove(path) }
            return try Files.makeDirectory(path, mode: 0o700)
        case .emptied: bytes = []
        case .cutInHalf: bytes.removeLast(bytes.count / 2)
        case .cutByOne: bytes.removeLast()
        case .bitsFlipped:
            for index in stride(from: 7, to: bytes.count, by: 97) { bytes[index] ^= 0x10 }
        case .zeroed: bytes = [UInt8](repeating: 0, count: bytes.count)
        case .garbage: bytes = bytes.indices.map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
        case .swapped:
            let other = try SpoolScenery()
            let store = try other.create(epoch: 99)
            for number in 1...50 { _ = try store.append([event(number)], at: .now) }
            let image = try other.image()
            guard let foreign = try? image.directory.read(part.rawValue) else { return }
            bytes = foreign
        }
        try scenery.directory.write(bytes, to: part.rawValue)
    }

    /// Whatever was done: events are taken, each event that is still in the log reads as it was written, and no number
    /// of an epoch is given out again.
    private func checkService(_ scenery: SpoolScenery, events: Int = Self.events) async throws {
        let spool = scenery.spool()
        let intake = AuditIntake()
        intake.report(event(9999))
        while await spool.drain(intake) == .more {}
        // Reads all there is, as the shipper does; what is damaged in the middle is found here.
        while let view = await spool.view() {
            let lines = await read(spool, view)
            if let lines {
                try check(lines, view, events)
                break
            }
        }
        intake.report(event(10_000))
        while await spool.drain(intake) == .more {}
        #expect(await spool.tail(1).compactMap { field($0, "number") } == [10_000])
        let view = try #require(await spool.view())
        #expect(view.epoch == 7 || !scenery.quarantined().isEmpty)
    }

    private func read(_ spool: AuditSpool, _ view: SpoolView) async -> [String]? {
        var lines: [String] = []
        var next = view.acknowledged + 1
        while next <= view.committed {
            guard let batch = await spool.makeBatch(epoch: view.epoch, first: next, count: 1000) else { return nil }
            lines += batch.lines
            next = batch.last + 1
        }
        return lines
    }

    private func check(_ lines: [String], _ view: SpoolView, _ events: Int) throws {
        #expect(lines.map(seq) == Array(Int(view.acknowledged) + 1...Int(view.committed)))
        if view.epoch == 7 {
            let kept = lines.filter { name($0) == "connection.accepted" }.compactMap { field($0, "number") }
            #expect(kept == Array(Int(view.acknowledged) + 1...events) + [9999])
        } else {
            #expect(lines.first.map(name) == "state.quarantined")
        }
    }
}
