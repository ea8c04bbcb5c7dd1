import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `What status says of an offline root` {
    private func withState(_ body: (PlaneState) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "plane-owes-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = try TestStore.makeState(folder)
        try state.database.write { database in
            try state.createCluster("alpha", now: UnixTime.now, database)
            _ = try DesiredStates.set(
                DesiredContent(), node: nil, of: "alpha", lifetime: nil, state, now: UnixTime.now, database)
        }
        try body(state)
    }

    private func concerns(_ state: PlaneState, after days: Int64) throws -> [String] {
        try PlaneStatus(state, now: UnixTime.now + days * 86_400).concerns
    }

    @Test func `is when its list, the configuration keys and the plane's authority end`() throws {
        try withState { state in
            #expect(try concerns(state, after: 650) == [], "a root that is there signs them itself")
            let key = try state.database.write { database in
                let custody = RootCustody(state: state, actor: .caller, now: UnixTime.now)
                let root = try custody.root(database)
                let key = try #require(try root.load(from: state, database).keyText)
                try custody.takeOffline(root, database)
                guard case .file(let name) = root.keyPlace else { throw PlaneProblem("no file", remedy: "") }
                try FileManager.default.removeItem(atPath: state.keys.file(name))
                return key
            }
            #expect(try concerns(state, after: 290) == [])
            let list = try concerns(state, after: 310)
            #expect(list.count == 1 && list[0].contains("the revocation list of the offline root"), "\(list)")
            let configuration = try concerns(state, after: 610)
            #expect(configuration.contains { $0.contains("configuration key of alpha signs no") }, "\(configuration)")
            let issuer = try concerns(state, after: 5 * 365 - 590)
            #expect(issuer.contains { $0.contains("the authority of the plane's own certificate ends") }, "\(issuer)")
            // Once more, much later: another list, and another authority of the plane's own.
            let later = UnixTime.now + 4 * 365 * 86_400
            try state.database.write { database in
                let custody = RootCustody(state: state, actor: .caller, now: later)
                try custody.takeOffline(try custody.bringOnline(key, database), database)
            }
            let after = try PlaneStatus(state, now: later).concerns
            let isSettled = after.allSatisfy { !$0.contains("revocation list") && !$0.contains("plane's own") }
            #expect(isSettled, "\(after)")
        }
    }
}
