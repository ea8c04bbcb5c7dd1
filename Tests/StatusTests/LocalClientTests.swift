import Foundation
import Glibc
import Reports
import Testing

@testable import Status

@Suite struct `A local client` {
    @Test func `gets the whole answer of a server`() async throws {
        let fixture = Fixture()
        fixture.health.publish(section: "audit", ["text": .string(String(repeating: "ä", count: 500_000))])
        try await withServer(fixture) { sockets in
            let answer = try await LocalClient.send("GET", "/v1/audit", to: sockets.statusPath)
            #expect(answer.status == 200)
            #expect(answer.body.count == 1_000_000 + "{\"text\":\"\"}\n".utf8.count)
            #expect(try await LocalClient.send("GET", "/readyz", to: sockets.statusPath).status == 503)
            let renewed = try await LocalClient.send("POST", "/v1/certificates/database/renew", to: sockets.controlPath)
            #expect(renewed.status == 202)
        }
    }

    @Test func `says why nobody answers`() async throws {
        let folder = try Folder()
        let none = await #expect(throws: LocalClientError.self) {
            try await LocalClient.send("GET", "/livez", to: folder.path + "/none")
        }
        #expect(
            none
                == .unreachable(
                    path: folder.path + "/none", reason: "there is no such socket; is the daemon running?"))
        let listener = try UnixListener(folder.path + "/stale")
        listener.close()
        let stale = await #expect(throws: LocalClientError.self) {
            try await LocalClient.send("GET", "/livez", to: folder.path + "/stale")
        }
        #expect(stale?.description.contains("nobody listens") == true)
    }

    @Test func `gives up on a server that says nothing`() async throws {
        let folder = try Folder()
        let listener = try UnixListener(folder.path + "/mute")
        defer { listener.close() }
        let mute = await #expect(throws: LocalClientError.self) {
            try await LocalClient.send("GET", "/livez", to: folder.path + "/mute", timeoutSeconds: 1)
        }
        #expect(mute?.description.contains("no answer in 1 s") == true)
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfour",
        "HTTP/1.1 99 x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ])
    func `takes only a whole answer for one`(text: String) {
        #expect(LocalResponse(parsing: Array(text.utf8)) == nil)
    }

    @Test func `reads status and body`() {
        let answer = LocalResponse(parsing: Array("HTTP/1.1 404 Not Found\r\nX: y\r\ncontent-length:2\r\n\r\n{}".utf8))
        #expect(answer == LocalResponse(status: 404, body: Array("{}".utf8)))
    }
}
