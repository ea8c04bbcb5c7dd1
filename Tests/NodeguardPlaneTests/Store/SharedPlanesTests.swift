import Foundation
import PlaneAPI
import Synchronization
import TestSupport
import Testing

@testable import nodeguard_plane

/// Two planes over one PostgreSQL database, each with its copy of the state folder.
@Suite struct `Two planes over one database` {
    private let first: RunningPlane
    private let second: RunningPlane

    init() throws {
        first = try RunningPlane(store: .postgresql(DatabaseServer.shared.get()))
        second = try RunningPlane(beside: first)
    }

    private func key(_ plane: RunningPlane, as node: TestNode, backup: String = "base") throws -> CreatedKey? {
        let body = try JSONEncoder.plane.encode(KeyCreation(backup: backup))
        let answer = try plane.call("POST", Keys.path, body: body, as: node)
        return answer.status == 200 ? try answer.decode() : nil
    }

    private func open(_ key: CreatedKey, _ plane: RunningPlane, as node: TestNode) throws -> Data? {
        let body = try JSONEncoder.plane.encode(
            KeyUnwrapping(wrapped: key.wrapped, kek: key.kek, reason: "restore"))
        let answer = try plane.call("POST", Keys.unwrapPath(id: key.id), body: body, as: node)
        return answer.status == 200 ? try answer.decode(UnwrappedKey.self).key : nil
    }

    @Test func `know at once what either has answered`() throws {
        let node = try TestNode.enrolled(first, "db-1")
        #expect(try node.enroll(at: second, as: node, operation: .reenroll).status == 200)
        let made = try #require(try key(first, as: node))
        #expect(try open(made, second, as: node) == made.key)
        var log = AuditLogFixture()
        log.append(6)
        for plane in [first, second] { #expect(try log.register(plane, as: node).status == 204) }
        for index in 1...6 {
            let plane = index % 2 == 0 ? first : second
            let answer = try log.send(index...index, to: plane, as: node)
            let again = try log.send(index...index, to: index % 2 == 0 ? second : first, as: node)
            #expect(answer.status == 200 && again.body == answer.body)
        }
        #expect(try log.send(1...6, to: first, as: node).status == 200)
        let lists = try [first, second].map { try $0.call("GET", "/v1/clusters/alpha/crl").body }
        #expect(lists[0] == lists[1])
        try first.verb("revoke", try node.serial)
        for plane in [first, second] { #expect(try key(plane, as: node)?.id == nil) }
        #expect(try second.verb("audit", "verify").contains("intact: 6 events in 1 log"))
    }

    @Test func `wake who waits at one for what was revoked at the other`() throws {
        let node = try TestNode.enrolled(first, "db-1")
        let other = try TestNode.enrolled(first, "db-2")
        let read = try second.call("GET", "/v1/clusters/alpha/crl")
        let tag = try #require(
            read.headers.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("etag: ") }?.dropFirst(6))
        let waiting = try Subprocess(
            "curl",
            [
                "-sv", "--max-time", "60", "--cacert", second.folder + "/root.pem", "--cert", node.chainFile, "--key",
                node.keyFile, "-H", "If-None-Match: \(tag)", "-H", "Prefer: wait=50", "-o", "/dev/null", "-w",
                "answered %{http_code}\n", second.url + "/v1/clusters/alpha/crl",
            ])
        #expect(eventuallyBlocking(within: 20) { waiting.errors.contains("> Prefer: ") })
        try first.verb("revoke", try other.serial)
        let told = try waiting.end(within: 45)
        #expect(told.output == "answered 200\n", "\(told)")
    }

    @Test func `spend a token once, whoever shows it where at the same time`() async throws {
        for round in 1...5 {
            let token = try first.bundle(node: "db-\(round)").token
            let nodes = try (0..<4).map { _ in try TestNode(first, "db-\(round)") }
            let bodies = try nodes.map { try $0.request() }
            let planes = [first, second, first, second]
            let answers = try await inParallel(4) { try nodes[$0].enroll(bodies[$0], at: planes[$0], token: token) }
            #expect(answers.map(\.status).sorted() == [200, 401, 401, 401])
            #expect(answers.filter { $0.status == 401 }.allSatisfy { $0.reason == "token-spent" })
            // The same key is answered the same, wherever and however often it asks.
            let winner = try #require(answers.firstIndex { $0.status == 200 })
            let again = try await inParallel(4) {
                try nodes[winner].enroll(bodies[winner], at: planes[$0], token: token)
            }
            #expect(again.allSatisfy { $0.status == 200 && $0.body == answers[winner].body })
        }
        #expect(try second.verb("audit", "verify", "--plane").hasPrefix("intact: "))
    }

    @Test func `lose nothing that was answered when one is killed in the middle`() async throws {
        let node = try TestNode.enrolled(first, "db-1")
        var made: [AuditLogFixture] = []
        for epoch in 7...8 {
            var log = AuditLogFixture(epoch: UInt64(epoch))
            log.append(30)
            #expect(try log.register(second, as: node).status == 204)
            made.append(log)
        }
        let logs = made
        let planes = [first, second]
        let answered = Atomic(0)
        // Each asks one plane, and the other one when no answer came, until it has one.
        let keep = { @Sendable (turn: Int, _ ask: (RunningPlane) throws -> RunningPlane.Answer) throws in
            for attempt in 0..<20 {
                let answer = try ask(planes[(turn + attempt) % 2])
                if answer.status == 200 {
                    answered.add(1, ordering: .relaxed)
                    return answer
                }
                #expect(answer.status == 0 || answer.status == 503, "\(answer.text)")
            }
            throw TestSupportError("nobody answered")
        }
        let kill = Task { [first] in
            _ = await eventually(within: 60) { answered.load(ordering: .relaxed) >= 15 }
            first.kill()
        }
        let keys = Mutex<[CreatedKey]>([])
        _ = try await inParallel(4) { worker in
            for step in 1...30 {
                if worker < 2 {
                    _ = try keep(step) { try logs[worker].send(step...step, to: $0, as: node) }
                } else {
                    let body = try JSONEncoder.plane.encode(KeyCreation(backup: "\(worker)-\(step)"))
                    let made: CreatedKey = try keep(step) {
                        try $0.call("POST", Keys.path, body: body, as: node)
                    }.decode()
                    keys.withLock { $0.append(made) }
                }
            }
        }
        await kill.value
        let created = keys.withLock { $0 }
        #expect(created.count == 60 && Set(created.map(\.id)).count == 60)
        for key in created { #expect(try open(key, second, as: node) == key.key) }
        let verdict = try second.verb("audit", "verify")
        #expect(verdict.contains("intact: 60 events in 2 logs") && verdict.contains("in the plane's own log"))
    }

    @Test func `grant one node no more keys together than one plane would`() throws {
        let node = try TestNode.enrolled(first, "db-1")
        let states = try [first, second].map { try PlaneState.open($0.state) }
        let der = try Shell.succeed(["openssl", "x509", "-in", node.certificateFile, "-outform", "DER"]).standardOutput
        let now = UnixTime.now
        let identity = try states[0].database.read { try NodeIdentity.find(der: Array(der), now: now, $0) }
        let custodies = states.map { KeyCustody(state: $0) }
        for index in 0..<Int(KeyCustody.grants.burst) {
            _ = try custodies[index % 2].create(for: identity, backup: "\(index)", now: now)
        }
        for custody in custodies {
            let refusal = #expect(throws: Refusal.self) {
                try custody.create(for: identity, backup: "one more", now: now)
            }
            #expect(refusal?.reason == "too-many-requests")
        }
        _ = try custodies[1].create(for: identity, backup: "later", now: now + 1)
    }
}

@Suite struct `A folder and a database` {
    private func refusal(_ folder: String) throws -> String {
        let output = try Shell.run([RunningPlane.program, "run", "--state", folder, "--listen", "127.0.0.1:0"])
        #expect(output.status != 0)
        return output.standardError
    }

    @Test func `that do not belong together are refused, and nothing is changed`() throws {
        let server = try DatabaseServer.shared.get()
        let plane = try RunningPlane(store: .postgresql(server))
        let url = try String(contentsOfFile: plane.state + "/database", encoding: .utf8)
        let folder = try temporaryDirectory()
        let put = { (text: String, place: String) in try Data(text.utf8).write(to: URL(fileURLWithPath: place)) }
        // A new folder on the database of a plane.
        try FileManager.default.createDirectory(atPath: folder.file("new"), withIntermediateDirectories: false)
        try put(url, folder.file("new/database"))
        #expect(try refusal(folder.file("new")).contains("copy the state folder of that plane"))
        #expect(!FileManager.default.fileExists(atPath: folder.file("new/wrapping.key")))
        // Keys of a plane on an empty database, or on none.
        try Shell.succeed(["cp", "-a", plane.state, folder.file("copy")])
        try put(server.makeDatabase(), folder.file("copy/database"))
        let keys = try Data(contentsOf: URL(fileURLWithPath: folder.file("copy/authorities/root.key")))
        #expect(try refusal(folder.file("copy")).contains("the database is empty"))
        try FileManager.default.removeItem(atPath: folder.file("copy/database"))
        #expect(try refusal(folder.file("copy")).contains("name the database with --database"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file("copy/authorities/root.key"))) == keys)
        // A copy from before a cluster was made.
        try put(url, folder.file("copy/database"))
        try FileManager.default.removeItem(atPath: folder.file("copy/authorities/cluster-beta.key"))
        #expect(try refusal(folder.file("copy")).contains("cluster-beta.key is missing"))
        // Another plane's keys.
        let other = try RunningPlane(store: .postgresql(server))
        for file in ["wrapping.key", "witness.key", "authorities/root.key"] {
            try Shell.succeed(["cp", other.state + "/" + file, folder.file("copy/") + file])
        }
        #expect(try refusal(folder.file("copy")).contains("is not the key of its certificate"))
    }

    @Test func `that is not there, or asks for a password in vain, is said in a line`() throws {
        let plane = try RunningPlane(store: .sqlite)
        let verb = [RunningPlane.program, "nodes", "--state", plane.state, "--database"]
        let away = try Shell.run(verb + ["postgresql://plane@127.0.0.1:1/plane"])
        #expect(away.status == 1 && away.standardError.contains("cannot open postgresql://127.0.0.1:1/plane"))
        let secret = try Shell.run(verb + ["postgresql://plane:sesame@127.0.0.1:1/plane"])
        #expect(secret.status == 1 && secret.standardError.contains("holds a password"))
        #expect(!secret.standardError.contains("sesame"))
        let variable = try Shell.run(
            ["env", "NODEGUARD_PLANE_DATABASE=mysql://x", RunningPlane.program, "nodes", "--state", plane.state])
        #expect(variable.status == 1 && variable.standardError.contains("no URL of PostgreSQL"))
    }
}

@Suite struct `A plane whose database` {
    @Test func `is restarted answers 503 meanwhile, and as before afterwards`() throws {
        let server = try DatabaseServer()
        let plane = try RunningPlane(store: .postgresql(server))
        let node = try TestNode.enrolled(plane, "db-1")
        let body = try JSONEncoder.plane.encode(KeyCreation(backup: "base"))
        let make = { try plane.call("POST", Keys.path, body: body, as: node) }
        #expect(try make().status == 200)
        #expect(try plane.call("GET", "/v1/health").status == 200)
        server.stop()
        let calls = [
            make, { try plane.call("GET", "/.well-known/est/alpha/cacerts") },
            { try plane.call("GET", "/v1/clusters/alpha/crl") }, { try plane.call("GET", "/v1/health") },
            { try node.enroll(as: node, operation: .reenroll) },
        ]
        for call in calls + calls {
            let answer = try call()
            #expect(answer.status == 503 && answer.headers.lowercased().contains("retry-after: "), "\(answer.text)")
        }
        try server.start()
        #expect(try eventuallyBlocking(within: 30) { try plane.call("GET", "/v1/health").status == 200 })
        #expect(try make().status == 200)
        // Of a restart that nobody called in, the plane's own look for news included, nobody notices anything.
        server.stop()
        try server.start()
        #expect(try eventuallyBlocking(within: 10) { try make().status == 200 })
        #expect(try plane.verb("key", "list").split(separator: "\n").count == 4)
        #expect(try plane.verb("audit", "verify").contains("intact: "))
    }
}

/// Blocking work side by side.
private func inParallel<Value: Sendable>(
    _ count: Int, _ work: @escaping @Sendable (Int) throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
        for index in 0..<count { group.addTask { (index, try await offLoop { try work(index) }) } }
        var values: [Int: Value] = [:]
        for try await (index, value) in group { values[index] = value }
        return (0..<count).compactMap { values[$0] }
    }
}
