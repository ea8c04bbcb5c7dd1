import Foundation
import PlaneAPI
import Testing

@testable import nodeguard_plane

@Suite struct `A replaced node` {
    @Test func `has the place, the roles and the name, and the old machine has nothing`() throws {
        let plane = try RunningPlane()
        try plane.verb("role", "allow", "--cluster", "alpha", "--node", "db-1", "--role", "web", "--usage", "server")
        let old = try TestNode.enrolled(plane, "db-1")
        let unused = try plane.bundle(node: "db-1").token
        let bundle = try JoinBundle(text: plane.verb("node", "replace", "db-1", "--cluster", "alpha"))
        #expect(bundle.node == "db-1" && bundle.cluster == "alpha" && bundle.url == plane.url)
        #expect(try plane.verb("nodes").contains("revoked"))

        let new = try TestNode(plane, "db-1")
        try new.keep(new.enroll(token: bundle.token))
        let role = try TestNode(plane, "db-1")
        let wish = try role.request(extensions: [])
        #expect(try role.enroll(wish, label: "alpha.web", as: new).status == 200)
        for call in [
            try plane.call("POST", Keys.path, body: Data(#"{"backup":"b"}"#.utf8), as: old),
            try new.enroll(as: old, operation: .reenroll), try new.enroll(wish, label: "alpha.web", as: old),
        ] {
            #expect(call.status == 403 && call.reason == "replaced", "\(call.text)")
        }
        #expect(try new.enroll(token: unused).reason == "token-expired")
        #expect(try new.enroll(token: bundle.token).status == 200, "the same key gets the same again")
        let events = try plane.verb("journal", "-n", "50")
        #expect(events.contains("node.replace") && events.contains("replaced"), "\(events)")
        #expect(try plane.verb("nodes").contains("old-machine"))
    }

    @Test func `is no copy of the one before it, whatever that had reported`() throws {
        let state = try TestStore.makeState(NSTemporaryDirectory() + "replaced-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: state.directory) }
        try state.database.write { database in
            let now = UnixTime.now
            try state.createCluster("alpha", now: now, database)
            try state.invite(node: "db-1", of: "alpha", now: now, database)
            try database.execute(
                sql: """
                    INSERT INTO observed (cluster, node, instance, former, generation, received_at, report)
                    VALUES ('alpha', 'db-1', 'old', '["older"]', 900, 1, ?)
                    """,
                arguments: [Data("{}".utf8)])
            #expect(try Replacement.begin("db-1", of: "alpha", now: now, database) == 0)
            #expect(try StateTables.count("observed", database) == 0)
            let holder = IssuedCertificates.Holder(kind: .node, cluster: "alpha", name: "db-1")
            #expect(try Replacement.time(holder, revokedAt: now, database) == now)
            #expect(try Replacement.time(holder, revokedAt: now + 1, database) == nil)
            #expect(throws: PlaneProblem.self) { try Replacement.begin("db-2", of: "alpha", now: now, database) }
        }
    }
}
