import Glibc
import IO
import OpenSSL
import TestSupport
import Testing

@testable import HTTP

@Suite struct `A server` {
    @Test func `of another authority is refused before it sees a request`() async throws {
        let foreign = try TestServer.foreignAuthority.get()
        let server = try await TestServer(foreign.server())
        try await withClient { client in
            let request = HTTPRequest(
                "GET", server.url("/echo"), basicPassword: SecretReference(copying: Array("token".utf8)))
            #expect(await failure(client, request) == .tlsPeer)
        }
        #expect(server.requests.isEmpty)
        try await withClient(.anchors(foreign.trust())) { client in
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == nil)
        }
    }

    @Test func `of another name is refused, and the same one by its own name is not`() async throws {
        let identity = try TestServer.authority.get().issue(
            name: "127.0.0.1", dnsNames: ["localhost"], usage: [.server])
        let server = try await TestServer(identity)
        try await withClient { client in
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == .tlsPeer)
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo", host: "localhost"))) == nil)
        }
        #expect(server.requests.count == 1)
    }

    @Test(arguments: ["expired", "not yet valid", "a client's", "self-signed"])
    func `with a certificate that is not good is refused`(fault: String) async throws {
        let authority = try TestServer.authority.get()
        let identity = try authority.issue(
            name: "localhost", addresses: ["127.0.0.1"], usage: [fault == "a client's" ? .client : .server],
            validity: fault == "expired" ? -7000 ... -3600 : fault == "not yet valid" ? 3600...7200 : nil,
            by: fault == "self-signed" ? .itself : .intermediate)
        let server = try await TestServer(identity)
        try await withClient { client in
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == .tlsPeer)
        }
        #expect(server.requests.isEmpty)
    }

    @Test func `that speaks no better than TLS 1.1 is refused`() async throws {
        let server = try await TestServer(version: "TLSv1_1")
        try await withClient { client in
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == .tls)
        }
    }

    @Test(arguments: ["TLSv1_2", "TLSv1_3"])
    func `sees our certificate, and we its chain`(version: String) async throws {
        let authority = try TestServer.authority.get()
        let serverIdentity = try authority.server()
        let server = try await TestServer(serverIdentity, clients: .required, version: version)
        try await withClient(nil, try authority.client(name: "node-1").tlsIdentity()) { client in
            let response = try await client.send(HTTPRequest("GET", server.url("/echo")))
            let expected = try [serverIdentity, authority.intermediate, authority.root].map { try $0.certificate() }
            #expect(response.peerChain == expected)
        }
        #expect(server.requests.map { $0[1] } == ["node-1"])
    }

    /// libest, test/UT, US901. Nobody vouches for it, which a provisional client must not take for "anybody" either.
    @Test func `that shows no certificate at all is refused`() async throws {
        let port = try freePort()
        let server = try Subprocess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0",
                "-www",
            ], keepsInputOpen: true)
        try await server.waitForLine(containing: "ACCEPT")
        for trust: ClientTrust? in [nil, .provisional] {
            try await withClient(trust) { client in
                let error = await error(client, HTTPRequest("GET", "https://127.0.0.1:\(port)/"))
                #expect(error?.kind == .tls, "\(error?.detail ?? "an answer")")
            }
        }
        server.signal(SIGKILL)
        _ = try await server.waitForEnd()
    }

    @Test(arguments: ["TLSv1_2", "TLSv1_3"])
    func `that refuses our certificate is told apart from one that we refuse`(version: String) async throws {
        let server = try await TestServer(clients: .required, version: version)
        let foreign = try TestServer.foreignAuthority.get().client()
        let expired = try TestServer.authority.get().issue(name: "old", validity: -7000 ... -3600)
        for identity in [foreign, expired] {
            try await withClient(nil, try identity.tlsIdentity()) { client in
                let error = await error(client, HTTPRequest("GET", server.url("/echo")))
                #expect(error?.kind == .tlsSelf, "\(error?.detail ?? "an answer")")
            }
        }
        #expect(server.requests.isEmpty)
    }

    @Test func `that wants a certificate where we have none says so`() async throws {
        let server = try await TestServer(clients: .required)
        try await withClient { client in
            let error = await error(client, HTTPRequest("GET", server.url("/echo")))
            #expect(error?.kind == .tlsSelf, "\(error?.detail ?? "an answer")")
        }
    }
}

@Suite struct `A token` {
    private let token = SecretReference(copying: Array("s3cret-t0ken".utf8))
    /// Base64 of `:s3cret-t0ken`: the user name is empty (RFC 7030 §3.2.3).
    private let header = "Basic:OnMzY3JldC10MGtlbg=="

    @Test func `never travels on a provisional connection`() async throws {
        let server = try await TestServer()
        try await withClient(.provisional) { client in
            let asked = HTTPRequest("GET", server.url("/echo"), basicPassword: token)
            #expect(await failure(client, asked) == .notAllowed)
            #expect(server.connections.isEmpty)
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == nil)
            #expect(await failure(client, asked) == .notAllowed)
        }
        try await withClient { client in
            #expect(await failure(client, HTTPRequest("GET", server.url("/echo"), basicPassword: token)) == nil)
        }
        #expect(server.requests.map { $0[0] + $0[4] } == ["1-", "2" + header])
    }

    @Test func `goes with the user whom the server wants, and with none that would end in the middle`() async throws {
        let server = try await TestServer()
        var request = HTTPRequest("GET", server.url("/echo"), basicPassword: token)
        try await withClient { client in
            for user in ["a:b", "a\nb"] {
                request.basicUser = user
                #expect(await failure(client, request) == .notAllowed)
            }
            request.basicUser = "join"
            #expect(await failure(client, request) == nil)
        }
        // Base64 of `join:s3cret-t0ken`.
        #expect(server.requests.map { $0[4] } == ["Basic:am9pbjpzM2NyZXQtdDBrZW4="])
    }

    @Test func `goes with the requests that carry it and no others of its connection`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            for password in [nil, token, nil] {
                let request = HTTPRequest("POST", server.url("/echo"), body: [1], basicPassword: password)
                #expect(await failure(client, request) == nil)
            }
        }
        #expect(server.requests.map { $0[4] } == ["-", header, "-"])
    }

    @Test func `stands in no description`() {
        let request = HTTPRequest("GET", "https://plane/", basicPassword: token)
        var dumped = ""
        dump(request, to: &dumped)
        #expect(!dumped.contains("t0ken") && !String(reflecting: request).contains("t0ken"))
    }
}

@Suite struct `A connection` {
    @Test func `serves one request after the other`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            for _ in 0..<3 { #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == nil) }
        }
        #expect(server.requests.map { $0[0] } == ["1", "1", "1"])
    }

    @Test func `is never shared between identities`() async throws {
        let authority = try TestServer.authority.get()
        let server = try await TestServer(clients: .wanted)
        let names = ["node-1", "node-2", nil]
        var clients: [HTTPClient] = []
        for name in names {
            let identity = try name.map { try authority.client(name: $0).tlsIdentity() }
            clients.append(try makeClient(.anchors(authority.trust()), identity))
        }
        for _ in 0..<2 {
            for client in clients { #expect(await failure(client, HTTPRequest("GET", server.url("/echo"))) == nil) }
        }
        let rounds = server.requests.map { $0[0] + $0[1] }
        #expect(rounds == ["1node-1", "2node-2", "3-", "1node-1", "2node-2", "3-"])
        for client in clients { await client.close() }
    }

    @Test func `of a provisional client serves one request, and no TLS session is kept of it`() async throws {
        let server = try await TestServer(version: "TLSv1_2")
        try await withClient(.provisional) { client in
            for _ in 0..<3 {
                let response = try await client.send(HTTPRequest("GET", server.url("/echo")))
                #expect(!response.peerChain.isEmpty)
            }
        }
        #expect(server.requests.map { $0[0] } == ["1", "2", "3"])
    }

    @Test func `that the server closed meanwhile is replaced without a failed request`() async throws {
        let server = try await TestServer()
        try await withClient { client in
            for round in 0..<5 {
                let last = try await client.send(HTTPRequest("POST", server.url("/echo"), body: [1])).status
                #expect(last == 200)
                // Its answer is followed by the end of the connection, which the client's next request may run into.
                if round < 4 { _ = await failure(client, HTTPRequest("GET", server.url("/close"))) }
            }
        }
        #expect(server.requests.count { $0[3] == "/echo" } == 5)
    }
}
