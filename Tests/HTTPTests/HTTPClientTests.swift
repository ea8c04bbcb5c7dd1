import IO
import OpenSSL
import TestSupport
import Testing

@testable import HTTP

@Suite struct `A request` {
    @Test func `and its answer arrive whole, past every proxy of the environment`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
            let response = try await client.send(
                HTTPRequest("PUT", server.url("/echo"), headers: [("X-Asked", "a: b")], body: body))
            #expect(response.status == 200)
            #expect(response.header("x-kind") == "one two ")
            #expect(response.header("X-Empty") == "")
            #expect(response.header("x-other") == nil)
            let separator = Array("\r\n\r\n".utf8)
            #expect(response.body.suffix(body.count) == body[...])
            let head = String(decoding: response.body.dropLast(body.count + separator.count), as: UTF8.self)
            #expect(head.hasPrefix("PUT /echo HTTP/1.1\r\n"))
            #expect(head.contains("\r\nX-Asked: a: b"))
            #expect(head.contains("\r\nContent-Length: 100000"))
            #expect(!head.lowercased().contains("expect:"))
        }
    }

    @Test(arguments: ["GET", "POST", "DELETE", "HEAD"])
    func `without a body is answered whatever its method`(method: String) async throws {
        let server = try await TestServer()
        try await withClient { client in
            let response = try await client.send(HTTPRequest(method, server.url("/status/202")))
            #expect(response.status == 202)
            #expect(response.body == (method == "HEAD" ? [] : Array("words".utf8)))
        }
        #expect(server.requests.map { $0[2] } == [method])
    }

    @Test(arguments: [301, 302, 307, 308])
    func `that is redirected is answered with the redirect, and nobody follows it`(status: Int) async throws {
        let server = try await TestServer()
        try await withClient { client in
            let response = try await client.send(HTTPRequest("GET", server.url("/status/\(status)")))
            #expect(response.status == status)
            #expect(response.header("location") == "/echo")
        }
        #expect(server.requests.map { $0[3] } == ["/status/\(status)"])
    }

    @Test(arguments: ["/big", "/chunked"])
    func `gets an answer up to its limit and not a byte more`(path: String) async throws {
        let server = try await TestServer()
        try await withClient { client in
            for (count, isAnswered) in [(999, true), (1000, true), (1001, false), (5_000_000, false)] {
                let request = HTTPRequest("GET", server.url("\(path)/\(count)"), responseLimit: 1000)
                let kind = await failure(client, request)
                #expect(kind == (isAnswered ? nil : .tooLarge), "\(count) bytes")
            }
        }
    }

    @Test func `gets no endless headers`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            #expect(await failure(client, HTTPRequest("GET", server.url("/headers/8000"))) == nil)
            #expect(await failure(client, HTTPRequest("GET", server.url("/headers/17000"))) == .tooLarge)
        }
    }

    @Test(arguments: ["/drip", "/silent"])
    func `ends at its deadline however the answer drips`(path: String) async throws {
        let server = try await TestServer()
        try await withClient { client in
            let start = ContinuousClock.now
            let request = HTTPRequest("GET", server.url(path), timeout: .milliseconds(400))
            #expect(await failure(client, request) == .timeout)
            #expect(ContinuousClock.now - start >= .milliseconds(390))
            #expect(ContinuousClock.now - start < .seconds(60))
        }
    }

    @Test func `gives up a server that accepts and never shakes hands`() async throws {
        let listener = try ListeningSocket(.ipv4([127, 0, 0, 1], port: 0))
        try await withClient { client in
            let request = HTTPRequest("GET", "https://\(listener.address)/", connectTimeout: .milliseconds(300))
            #expect(await failure(client, request) == .timeout)
        }
    }

    @Test func `that nobody takes is told apart from one whose server has no address`() async throws {
        let port = try freePort()
        try await withClient { client in
            #expect(await failure(client, HTTPRequest("GET", "https://127.0.0.1:\(port)/")) == .connect)
            #expect(await failure(client, HTTPRequest("GET", "https://no-such-name.invalid/")) == .resolve)
        }
    }

    @Test(arguments: ["/cut", "/garbage", "/close"])
    func `never gets half an answer for a whole one`(path: String) async throws {
        let server = try await TestServer()
        try await withClient { client in
            let kind = await failure(client, HTTPRequest("GET", server.url(path)))
            #expect(kind == (path == "/close" ? .connect : .protocolError))
        }
    }

    @Test func `that could smuggle another, or leave HTTPS, is never sent`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            let url = server.url("/echo")
            for request in [
                HTTPRequest("GET", "http" + url.dropFirst("https".count)), HTTPRequest("GET", "file:///etc/passwd"),
                HTTPRequest("GET", "https://user:word@127.0.0.1:\(server.port)/"),
                HTTPRequest("GET /echo HTTP/1.1\r\nX: y\r\n\r\nGET", url), HTTPRequest("", url),
                HTTPRequest("GET", url, headers: [("A", "b\r\nX: y")]),
                HTTPRequest("GET", url, headers: [("A\n", "b")]),
                HTTPRequest("GET", url, headers: [("", "b")]), HTTPRequest("GET", url, headers: [("A:", "b")]),
                HTTPRequest("GET", url + "\r\nX: y"), HTTPRequest("GET", "https://"),
            ] { #expect(await failure(client, request) == .notAllowed, "\(request.method) \(request.url)") }
        }
        #expect(server.requests.isEmpty)
    }
}

@Suite struct `A client` {
    @Test func `ends a transfer at once when its task is cancelled, and goes on with the others`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            async let other = client.send(HTTPRequest("GET", server.url("/later/300")))
            let task = Task { await failure(client, HTTPRequest("GET", server.url("/silent"))) }
            #expect(await eventually(within: 60) { server.requests.contains { $0[3] == "/silent" } })
            task.cancel()
            #expect(await task.value == .cancelled)
            let status = try await other.status
            #expect(status == 200)
        }
    }

    @Test func `sends nothing for a task that was cancelled before`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            let task = Task {
                _ = await Alarm(label: "never").wait(for: .seconds(60))
                return await failure(client, HTTPRequest("GET", server.url("/echo")))
            }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
        #expect(server.requests.isEmpty)
    }

    @Test func `that is closed ends everything under way, and takes nothing more`() async throws {
        let server = try await TestServer()
        let client = try makeClient(.anchors(TestServer.authority.get().trust()))
        let tasks = (0..<10).map { _ in
            Task { await failure(client, HTTPRequest("GET", server.url("/silent"))) }
        }
        #expect(await eventually(within: 60) { server.requests.count == 10 })
        await client.close()
        for task in tasks { #expect(await task.value == .cancelled) }
        #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == .cancelled)
        await client.close()
    }

    @Test func `that retires lets what is under way end, and takes nothing more`() async throws {
        let server = try await TestServer()
        let client = try makeClient(.anchors(TestServer.authority.get().trust()))
        let task = Task { await failure(client, HTTPRequest("GET", server.url("/later/300"))) }
        #expect(await eventually(within: 60) { !server.requests.isEmpty })
        async let end: Void = client.retire()
        #expect(await task.value == nil)
        await end
        #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == .cancelled)
    }

    @Test func `has a limit of requests at once, and says so`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            let tasks = (0..<64).map { _ in
                Task { await failure(client, HTTPRequest("GET", server.url("/silent"))) }
            }
            #expect(await eventually(within: 60) { server.requests.count == 64 })
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == .notAllowed)
            for task in tasks { task.cancel() }
            for task in tasks { #expect(await task.value == .cancelled) }
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == nil)
        }
    }

    @Test func `leaves no socket open behind it`() async throws {
        let server = try await TestServer()
        let address = ":\(String(try #require(UInt16(server.port)), radix: 16, uppercase: true)) "
        try await withClient { client in
            for _ in 0..<3 { #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == nil) }
        }
        // proc(5), /proc/net/tcp: state 01 is an established connection, here to the server's port.
        let isGone = try await eventually(within: 60) {
            let table = String(decoding: try Files.read("/proc/net/tcp", limit: 8 << 20), as: UTF8.self)
            return !table.split(separator: "\n").contains { $0.contains(address + "01 ") }
        }
        #expect(isGone)
    }
}
