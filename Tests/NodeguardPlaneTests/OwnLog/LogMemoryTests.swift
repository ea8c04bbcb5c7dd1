import Foundation
import IO
import TestSupport
import Testing

@testable import nodeguard_plane

@Suite struct `A database that was put back` {
    private let folder: TemporaryDirectory
    private let state: PlaneState
    private let memory: LogMemory

    init() throws {
        folder = try temporaryDirectory()
        state = try TestStore.makeState(folder.file("state"))
        memory = LogMemory(state)
    }

    private func record(_ names: String...) throws {
        try state.database.write { database in
            for name in names {
                try state.log.record(PlaneEvent(name: name, actor: .plane, detail: ""), now: 1, database)
            }
        }
    }

    /// A start of the plane, in a process of its own as far as the memory goes.
    private func start(accepting: Bool = false) throws {
        try LogMemory(state).check(accepting: accepting, now: 2, state.database)
    }

    /// To what it was so many events ago, as far as the log tells.
    private static func putBack(_ state: PlaneState, by count: Int64) throws {
        try state.database.write { database in
            let size = Int64(try state.log.tree(database).size) - count
            var tree = MerkleRange()
            for event in try Data.fetchAll(
                database, sql: "SELECT event FROM plane_events WHERE seq <= ? ORDER BY seq", arguments: [size])
            {
                tree.append(MerkleRange.leaf(Array(event)))
            }
            try database.execute(sql: "DELETE FROM plane_events WHERE seq > ?", arguments: [size])
            let checkpoint = Checkpoint(origin: state.witness.name, size: tree.size, root: tree.root)
            try database.execute(
                sql: "UPDATE plane_log SET size = ?, peaks = ?, checkpoint = ?",
                arguments: [size, Data(tree.peakBytes), try state.witness.sign(checkpoint.text)])
        }
    }

    private func refusal() -> String {
        let error = #expect(throws: PlaneProblem.self) { try start() }
        return error?.description ?? ""
    }

    private var names: [String] {
        get throws {
            try state.database.read { try PlaneLog.last(100, $0) }.map {
                try CanonicalJSON(Array($0))["name"]?.text ?? ""
            }
        }
    }

    @Test func `is refused, whatever was written into it since, until an operator accepts it`() throws {
        try start()
        try record("one", "two", "three")
        try start()
        try Self.putBack(state, by: 1)
        #expect(refusal().contains("its own log ends at event 3, and went on to event 4"))
        // As many events, or more, but others.
        try record("other")
        #expect(refusal().contains("does not go on from the 4"))
        try record("fourth", "fifth")
        #expect(refusal().contains("does not go on from the 4"))
        #expect(refusal().contains("--accept-older-database"))
        let before = try names
        try start(accepting: true)
        #expect(try names == before + ["database.older"])
        try start()
        #expect(try names == before + ["database.older"], "said once")
        #expect(try state.database.read { try PlaneLogVerification(key: state.witness).run($0).flaw } == nil)
    }

    @Test func `is not the one that went on without this plane`() throws {
        try start()
        try record("one")
        try start(accepting: true)
        #expect(try names == ["plane.begin", "one"], "nothing was older")
        try record("two", "three")
        try start()
    }

    @Test func `is noticed by who runs, and remembered`() throws {
        try memory.check(accepting: false, now: 2, state.database)
        try record("one", "two")
        try memory.keep(state.database)
        try Self.putBack(state, by: 2)
        let error = #expect(throws: PlaneProblem.self) { try memory.keep(state.database) }
        #expect(error?.description.contains("ends at event 1, and went on to event 3") == true)
        #expect(refusal().contains("ends at event 1, and went on to event 3"))
    }

    @Test func `is not to be told from another whose memory is damaged`() throws {
        try start()
        let path = folder.file("state/\(LogMemory.fileName)")
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let changed = Data(String(decoding: whole, as: UTF8.self).replacing("1", with: "2").utf8)
        for damaged in [Data(), whole.dropLast(5), changed] {
            try damaged.write(to: URL(fileURLWithPath: path))
            #expect(refusal().contains("is damaged"))
        }
        try start(accepting: true)
        try start()
    }

    @Test func `is refused by run, which says so, and starts when it is told to`() throws {
        let plane = try RunningPlane(clusters: ["alpha"])
        let file = plane.state + "/" + LogMemory.fileName
        let size = { (try? String(contentsOfFile: file, encoding: .utf8))?.contains("\\n3\\n") ?? false }
        try plane.verb("cluster", "create", "beta")
        #expect(eventuallyBlocking(within: 20, size), "a verb's event is seen while the plane runs")
        plane.kill()
        try Self.putBack(try PlaneState.open(plane.state), by: 2)
        let refused = try Shell.run([RunningPlane.program, "run", "--state", plane.state, "--listen", "127.0.0.1:0"])
        #expect(refused.status == 1 && refused.standardError.contains("went on to event 3"), "\(refused)")
        for more in [["--accept-older-database"], []] {
            let (process, _) = try RunningPlane.start(state: plane.state, log: plane.folder + "/log", more: more)
            process.signal(SIGTERM)
            process.wait()
        }
        #expect(try plane.verb("audit", "tail", "--plane", "-n", "5").contains("database.older"))
        #expect(try plane.verb("audit", "verify", "--plane").contains("intact"))
    }
}
