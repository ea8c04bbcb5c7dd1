import HTTP
import IO
import OpenSSL
import TestSupport
import Testing

@Suite(.serialized) struct `An HTTPS client` {
    private func client(_ authority: TestAuthority, identity: TLSIdentity? = nil) throws -> HTTPClient {
        HTTPClient(lane: Lane(label: "http"), trust: .anchors(try authority.trust()), identity: identity)
    }

    private func failure(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError.Kind? {
        do throws(HTTPError) {
            _ = try await client.send(request)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test func `brings the answer, whatever its status, and reuses its connection`() async throws {
        let authority = try TestAuthority()
        let server = try await TestServer(authority)
        let client = try client(authority)
        for _ in 1...3 {
            let answer = try await client.send(HTTPRequest("POST", server.url + "/ok", body: [1, 2, 3]))
            #expect(answer.status == 200 && answer.body == Array("hello".utf8))
            #expect(answer.header("x-kind") == "ok")
        }
        let ports = Set(server.requests.compactMap { $0.firstMatch(of: /port=(\d+)/)?.1 })
        #expect(ports.count == 1)
        #expect(server.requests.allSatisfy { $0.contains("body=3") })
        await client.close()
    }

    @Test func `follows no redirect`() async throws {
        let authority = try TestAuthority()
        let server = try await TestServer(authority)
        let client = try client(authority)
        #expect(try await client.send(HTTPRequest("GET", server.url + "/redirect")).status == 302)
        #expect(server.requests.count == 1)
        await client.close()
    }

    @Test func `ends an answer that is too long or too slow`() async throws {
        let authority = try TestAuthority()
        let server = try await TestServer(authority)
        let client = try client(authority)
        #expect(await failure(client, HTTPRequest("GET", server.url + "/big", responseLimit: 100_000)) == .tooLarge)
        let slow = HTTPRequest("GET", server.url + "/drip", timeout: .milliseconds(700))
        let start = ContinuousClock.now
        #expect(await failure(client, slow) == .timeout)
        #expect(ContinuousClock.now - start < .seconds(10))
        await client.close()
    }

    @Test func `believes neither a foreign authority nor a wrong name, and sends them nothing`() async throws {
        let authority = try TestAuthority()
        let foreign = try TestAuthority(name: "Foreign")
        let server = try await TestServer(foreign)
        let password = SecretReference(copying: Array("token".utf8))
        let trusting = try client(authority)
        let request = HTTPRequest("GET", server.url + "/ok", basicPassword: password)
        #expect(await failure(trusting, request) == .tlsPeer)
        await trusting.close()

        let other = try await TestServer(authority, name: "elsewhere.example")
        let byName = try client(authority)
        #expect(await failure(byName, HTTPRequest("GET", other.url + "/ok", basicPassword: password)) == .tlsPeer)
        await byName.close()
        #expect(server.requests == [] && other.requests == [])
    }

    @Test func `never sends a token on a provisional connection, and speaks only https`() async throws {
        let authority = try TestAuthority()
        let server = try await TestServer(authority)
        let provisional = HTTPClient(lane: Lane(label: "http"), trust: .provisional, identity: nil)
        let password = SecretReference(copying: Array("token".utf8))
        let request = HTTPRequest("GET", server.url + "/ok", basicPassword: password)
        #expect(await failure(provisional, request) == .notAllowed)
        #expect(server.requests == [])
        for _ in 1...2 { #expect(try await provisional.send(HTTPRequest("GET", server.url + "/ok")).status == 200) }
        #expect(server.requests.allSatisfy { $0.contains("authorization=None") })
        let ports = Set(server.requests.compactMap { $0.firstMatch(of: /port=(\d+)/)?.1 })
        #expect(ports.count == 2, "a provisional connection is never used again")
        #expect(await failure(provisional, HTTPRequest("GET", "http://127.0.0.1:1/")) == .notAllowed)
        await provisional.close()
    }

    @Test func `shows the identity of its own generation and no other`() async throws {
        let authority = try TestAuthority()
        let server = try await TestServer(authority)
        let first = try client(authority, identity: try authority.client(name: "first").tlsIdentity())
        let second = try client(authority, identity: try authority.client(name: "second").tlsIdentity())
        let none = try client(authority)
        for client in [first, second, none, first] { _ = try await client.send(HTTPRequest("GET", server.url + "/ok")) }
        let peers = server.requests.compactMap { $0.firstMatch(of: /peer=(\w*)/)?.1 }
        #expect(peers == ["first", "second", "", "first"])
        for client in [first, second, none] { await client.close() }
    }

    @Test func `says when nobody listens, and ends what is under way when it is closed or cancelled`() async throws {
        let authority = try TestAuthority()
        let server = try await TestServer(authority)
        let client = try client(authority)
        #expect(await failure(client, HTTPRequest("GET", "https://localhost:1/")) == .connect)
        let url = server.url
        let cancelled = Task { await self.failure(client, HTTPRequest("GET", url + "/drip")) }
        #expect(await eventually(within: 10) { server.requests.count == 1 })
        cancelled.cancel()
        #expect(await cancelled.value == .cancelled)
        let closed = Task { await self.failure(client, HTTPRequest("GET", url + "/drip")) }
        #expect(await eventually(within: 10) { server.requests.count == 2 })
        await client.close()
        #expect(await closed.value == .cancelled)
        #expect(await failure(client, HTTPRequest("GET", url + "/ok")) == .cancelled)
    }
}
