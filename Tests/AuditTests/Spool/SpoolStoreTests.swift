import Foundation
import IO
import PlaneAPI
import Reports
import TestSupport
import Testing

@testable import Audit

@Suite struct `The spool's store` {
    private let scenery: SpoolScenery
    private let store: SpoolStore

    init() throws {
        scenery = try SpoolScenery()
        store = try scenery.create()
    }

    private func append(_ numbers: ClosedRange<Int>, padding: Int = 0) throws {
        _ = try store.append(numbers.map { event($0, padding: padding) }, at: .now)
    }

    @Test func `numbers events from 1 without a gap, over commits and restarts`() throws {
        try append(1...10)
        try append(11...11)
        try store.endCleanly()
        let again = try scenery.open()
        _ = try again.append([event(12)], at: .now)
        let lines = try again.lines(from: 1)
        #expect(lines.map(seq) == Array(1...12))
        #expect(lines.map { field($0, "number") } == Array(1...12))
        #expect(Set(lines.map { members($0)["epoch"] as? Int }) == [7])
    }

    @Test func `keeps the hash tree with the events that it covers`() throws {
        try append(1...300)
        let lines = try store.lines(from: 1)
        #expect(store.state.tree == tree(over: lines))
        let image = try scenery.image()
        let crashed = try image.open()
        #expect(crashed.state.tree == store.state.tree)
        #expect(try crashed.lines(from: 1) == lines)
    }

    @Test func `makes batches in the form of the wire, which anybody can verify`() throws {
        try append(1...5)
        let batch = try store.makeBatch(first: 1, count: 1000)
        #expect(batch.epoch == 7 && batch.first == 1 && batch.last == 5)
        let origin = AuditBatches.origin(node: "db-1", epoch: 7)
        #expect(
            AuditVerifier.verify(batch.body, keys: VerifierKeys(logKey: store.key.publicKey))
                == .intact(events: 5, origin: origin, isSigned: true, isCosigned: nil))
        let text = String(decoding: batch.body, as: UTF8.self)
        let root = Data(store.state.tree.root).base64EncodedString()
        #expect(text.contains("}\n\n\(origin)\n5\n\(root)\n\n\u{2014} \(origin) "))
        #expect(text.hasSuffix("\n") && !text.hasSuffix("\n\n"))
    }

    @Test func `keeps a batch within the plane's limits`() throws {
        try append(1...1500)
        #expect(try store.makeBatch(first: 1, count: 1000).last == 1000)
        #expect(try store.makeBatch(first: 1, count: 1).last == 1)
        try append(1501...2000, padding: 4000)
        let batch = try store.makeBatch(first: 1501, count: 1000)
        #expect(batch.last < 2000)
        #expect(batch.body.count <= AuditBatches.sizeLimit)
        #expect(batch.body.count > AuditBatches.sizeLimit / 2)
    }

    @Test func `trims what was acknowledged, but for the newest, and keeps the tree`() throws {
        try append(1...1000)
        let all = try store.lines(from: 1)
        let batch = try store.makeBatch(first: 1, count: 900)
        try store.acknowledge(through: 900, cosigned: batch.checkpoint.fullText + "cosigned")
        #expect(store.state.acknowledged == 900)
        #expect(store.state.shipped == tree(over: Array(all.prefix(900))))
        #expect(try store.tail(10_000).map(seq) == Array(745...1000))
        try store.endCleanly()
        let again = try scenery.open()
        #expect(again.state.cosigned == batch.checkpoint.fullText + "cosigned")
        #expect(try again.makeBatch(first: 901, count: 1000).lines == Array(all[900...]))
    }

    @Test func `makes the same batch again after a crash`() throws {
        try append(1...50)
        let batch = try store.makeBatch(first: 1, count: 40)
        let image = try scenery.image()
        let crashed = try image.open()
        _ = try crashed.append([event(51)], at: .now)
        #expect(crashed.state.offered == 40)
        #expect(try crashed.makeBatch(first: 1, count: 40) == batch)
    }

    @Test func `accepts an acknowledgement of a part`() throws {
        try append(1...50)
        let lines = try store.lines(from: 1)
        try store.acknowledge(through: 20, cosigned: nil)
        #expect(store.state.shipped == tree(over: Array(lines.prefix(20))))
        #expect(try store.makeBatch(first: 30, count: 5).lines == Array(lines[29..<34]))
    }

    @Test func `has one row for a commit`() throws {
        for start in [1, 101, 1101] { try append(start...start + 99 + (start == 101 ? 900 : 0)) }
        #expect(try store.rowCount() == 3)
        #expect(try store.lines(from: 1).map(seq) == Array(1...1200))
        #expect(try store.tail(150).map(seq) == Array(1051...1200))
        #expect(try store.state.usage == store.storedUsage())
    }

    @Test func `gives room back to the disk`() throws {
        for start in stride(from: 1, to: 40_000, by: 2000) { try append(start...start + 1999, padding: 300) }
        let before = try Files.size(scenery.files.database)
        while store.state.acknowledged < store.state.last {
            let batch = try store.makeBatch(first: store.state.acknowledged + 1, count: 1000)
            try store.acknowledge(through: Int64(batch.last), cosigned: nil)
        }
        try store.endCleanly()
        #expect(try Files.size(scenery.files.database) < before / 2 + 32 << 20)
        #expect(try scenery.open().state.usage < 256 * 1024)
    }

    @Test func `is readable by its owner alone`() throws {
        try append(1...3)
        for path in [scenery.files.database, scenery.files.log, scenery.files.key, scenery.files.head] {
            let permissions = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(permissions == 0o600, "\(path)")
        }
        #expect(!Files.exists(scenery.files.index))
    }

    @Test func `is used by one process at a time`() throws {
        try append(1...3)
        let error = #expect(throws: SpoolError.self) { _ = try scenery.open() }
        #expect(error?.kind == .unavailable)
    }
}
