import Foundation
import Glibc
import Logging
import Reports
import Synchronization
import Testing

@testable import Status

@Suite struct `The local sockets` {
    private let fixture = Fixture()

    @Test func `answer curl on every path`() async throws {
        fixture.becomeReady()
        try await withServer(fixture) { sockets in
            for path in ["/livez", "/readyz", "/healthz?verbose", "/v1/status", "/v1/certificates", "/metrics"] {
                let answer = try await Curl.ask(sockets.statusPath, path)
                #expect(answer.status == 200, "\(path): \(answer)")
            }
            let metrics = try await Curl.ask(sockets.statusPath, "/metrics")
            #expect(metrics.headers.contains("content-type: application/openmetrics-text; version=1.0.0"))
            #expect(metrics.body.hasSuffix("# EOF\n"))
            let refused = try await Curl.ask(sockets.statusPath, "/v1/connections")
            #expect(refused.status == 403)
            let wrong = try await Curl.ask(sockets.statusPath, "/v1/status", ["-X", "POST"])
            #expect(wrong.status == 405)
            #expect(wrong.headers.contains("allow: get"))
            #expect(try await Curl.ask(sockets.statusPath, "/../../etc/passwd").status == 404)
        }
    }

    @Test func `know who calls on the control socket, by the kernel's word`() async throws {
        try await withServer(fixture) { sockets in
            let killed = try await Curl.ask(sockets.controlPath, "/v1/connections/1:1", ["-X", "DELETE"])
            #expect(killed.status == 200)
        }
        let event = try #require(fixture.events.withLock { $0.first })
        #expect(event.fields["call"] == "DELETE /v1/connections/1:1")
        #expect(event.fields["caller.uid"] == .count(getuid()))
        #expect(event.fields["caller.gid"] == .count(getgid()))
        guard case .integer(let process) = event.fields["caller.pid"] else {
            Issue.record("no pid")
            return
        }
        #expect(process > 1 && process != Int64(getpid()))
    }

    @Test func `have their final permissions from their first moment`() async throws {
        try await withServer(fixture, mode: 0o640) { sockets in
            func mode(_ path: String) throws -> Int? {
                try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            }
            let modes = [try mode(sockets.statusPath), try mode(sockets.controlPath)]
            #expect(modes == [0o640, 0o660])
            #expect(!FileManager.default.fileExists(atPath: sockets.statusPath + ".new"))
        }
    }

    @Test func `replace a socket that nobody answers on`() async throws {
        try await withServer(fixture) { sockets in
            let folder = try Folder()
            let path = folder.path + "/status.sock"
            try FileManager.default.moveItem(atPath: sockets.statusPath, toPath: path)
            let said = await refusal(StatusConfiguration(statusPath: path, controlPath: folder.path + "/c"))
            #expect(said.contains("another process answers there"))
            #expect(FileManager.default.fileExists(atPath: path))
        }
        let folder = try Folder()
        let stale = StatusConfiguration(statusPath: folder.path + "/s", controlPath: folder.path + "/c")
        for _ in 0..<2 {
            try await open(stale).close()
            #expect(FileManager.default.fileExists(atPath: stale.statusPath))
        }
    }

    /// What `open` says when it fails; an opened server is closed again.
    private func refusal(_ configuration: StatusConfiguration) async -> String {
        do {
            let server = try await StatusServer.open(
                configuration, source: fixture.source, audit: .none, logger: Logger(label: "test"))
            await server.close()
            return "opened"
        } catch {
            return error.description
        }
    }

    @Test func `leave alone what is no socket`() async throws {
        let folder = try Folder()
        let path = folder.path + "/status.sock"
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        let said = await refusal(StatusConfiguration(statusPath: path, controlPath: folder.path + "/c"))
        #expect(said.contains("is no socket"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test func `say in one line which folder is missing and which group does not exist`() async throws {
        let folder = try Folder()
        for configuration in [
            StatusConfiguration(statusPath: folder.path + "/no/s", controlPath: folder.path + "/c"),
            StatusConfiguration(
                statusPath: folder.path + "/s", controlPath: folder.path + "/c", group: "no-such-group"),
        ] {
            let said = await refusal(configuration)
            #expect(said.hasPrefix("cannot ") && !said.contains("\n"), "\(said)")
        }
    }

    @Test func `end at any moment, clients coming in or not`() async throws {
        for round in 0..<60 {
            try await withServer(fixture) { sockets in
                let peers = try (0..<8).map { _ in try UnixPeer(sockets.statusPath) }
                if round.isMultiple(of: 2) { peers[0].send("GET /livez HTTP/1.1\r\n\r\n") }
                if round.isMultiple(of: 3) { _ = try await Curl.ask(sockets.statusPath, "/livez") }
            }
        }
    }

    @Test func `leave no descriptor behind`() async throws {
        let folder = try Folder()
        let configuration = StatusConfiguration(statusPath: folder.path + "/s", controlPath: folder.path + "/c")
        for _ in 0..<20 { try await open(configuration).close() }
        // The kernel's list of unix sockets has the path of each listening and each accepted one (proc(5)).
        let isClean = await eventually(within: 20) {
            (try? String(contentsOfFile: "/proc/net/unix", encoding: .utf8))?.contains(folder.path) == false
        }
        #expect(isClean)
    }

    /// Opens a server. Another test's child may hold our old listening socket between its fork and its exec; that
    /// passes.
    private func open(_ configuration: StatusConfiguration) async throws -> StatusServer {
        for _ in 0..<Self.attemptLimit {
            do throws(StatusError) {
                return try await StatusServer.open(
                    configuration, source: fixture.source, audit: .none, logger: Logger(label: "test"))
            } catch {
                try #require(error.description.contains("another process answers there"))
                _ = await eventually(within: 0.05) { false }
            }
        }
        return try await StatusServer.open(
            configuration, source: fixture.source, audit: .none, logger: Logger(label: "test"))
    }

    private static let attemptLimit = 100

    @Test func `end with their task, and answer again after a new start`() async throws {
        for _ in 0..<2 {
            try await withServer(fixture) { sockets in
                let answer = try await Curl.ask(sockets.statusPath, "/livez")
                #expect(answer.status == 200)
            }
        }
    }
}
