import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// A database that is not who it should be hears nothing of the client, and the client hears that it is down.
    @Suite(.timeLimit(.minutes(3))) struct `A database that TLS does not accept` {
        private typealias Secured = `A connection with TLS to the database`
        private static let sslRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]

        /// What the client reads, why, and all that the database got after SSLRequest.
        private static func outcome(
            _ wanted: BackendTLS = Secured.verify,
            _ serve: @escaping @Sendable (TestSocket, TestBackend) throws -> Void
        ) async throws -> (code: String?, detail: String) {
            let backend = try TestBackend { socket, backend in
                var request: [UInt8] = []
                while request.count < 8 {
                    let piece = try socket.receive(8 - request.count)
                    if piece.isEmpty { return }
                    request += piece
                }
                backend.note(request)
                try serve(socket, backend)
            }
            let stage = try Secured.stage(backend, .postgres, wanted)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup(user: "very-secret-user"))
            let answer = try client.receiveAll()
            #expect(backend.noted.first == sslRequest)
            for bytes in backend.noted.dropFirst() {
                #expect(bytes.isEmpty || bytes.first == 0x15 || bytes.first == 0x16, "\(bytes.prefix(16))")
                #expect(!String(decoding: bytes, as: UTF8.self).contains("secret"))
            }
            #expect(await eventually(within: 20) { stage.refused(.backendDown) == 1 })
            let detail = stage.refusalDetails.first ?? ""
            await stage.proxy.stop()
            return (`A PostgreSQL port`.errorFields(answer)["C"], detail)
        }

        @Test(arguments: [UInt8(ascii: "N"), UInt8(ascii: "E"), 0, UInt8(ascii: "s"), 0x16])
        func `answers SSLRequest with anything but 'S'`(_ byte: UInt8) async throws {
            let (code, detail) = try await Self.outcome { socket, backend in
                try socket.send([byte] + Array("\0\0\0\u{10}SFATAL\0\0".utf8))
                backend.note((try? socket.receiveAll()) ?? [])
            }
            #expect(code == "57P03")
            #expect(detail.contains("SSLRequest"), "\(detail)")
        }

        @Test func `hangs up instead of answering, or answers in clear after 'S'`() async throws {
            let (code, detail) = try await Self.outcome { socket, _ in socket.endWriting() }
            #expect(code == "57P03" && detail.contains("instead of answering SSLRequest"), "\(detail)")
            let (stuffed, reason) = try await Self.outcome { socket, backend in
                try socket.send(Array("SR\0\0\0\u{8}\0\0\0\0".utf8))
                backend.note((try? socket.receiveAll()) ?? [])
            }
            #expect(stuffed == "57P03" && reason.contains("no TLS with the database"), "\(reason)")
        }

        @Test func `has another name, an authority that is not trusted, or not the listener's certificate`()
            async throws
        {
            let authority = try Stage.authority.get()
            let named = try authority.issue(name: "localhost", dnsNames: ["other.example"], usage: [.server])
            let foreign = try Stage.foreign.get().server()
            let cases: [(BackendTLS, TestIdentity, String)] = [
                (Secured.verify, named, "ostname mismatch"),
                (Secured.verify, foreign, "unable to get local issuer certificate"),
                (BackendTLS(.sameCertificate), try authority.server(), "presents another certificate"),
                (BackendTLS(.sameCertificate), foreign, "presents another certificate"),
            ]
            for (wanted, identity, words) in cases {
                let context = try TestTLSServer.context(identity)
                let (code, detail) = try await Self.outcome(wanted) { socket, backend in
                    try socket.send([UInt8(ascii: "S")])
                    guard let server = try? TestTLSServer(socket, context) else { return }
                    // Nothing inside TLS either.
                    backend.note((try? server.receive()) ?? [])
                }
                #expect(code == "57P03")
                #expect(detail.contains(words), "\(detail)")
            }
        }

        /// Its refusal comes with TLS 1.3 after the handshake is over for the proxy.
        @Test(arguments: [TLSVersion.tls12, .tls13])
        func `does not accept the listener's certificate`(_ version: TLSVersion) async throws {
            let own = try Stage.foreign.get().server()
            let context = try TLSContext.server(
                identity: try TLSIdentity(chainFile: try own.chainPEM, keyFile: own.keyPath),
                trust: try TrustAnchors(pem: try Stage.foreign.get().root.certificatePEM), maximum: version)
            let backend = try TestBackend { socket, _ in
                _ = try socket.receive(8)
                try socket.send([UInt8(ascii: "S")])
                _ = try? TestTLSServer(socket, context)
                _ = try? socket.receiveAll()
            }
            let anchors = try Certificate.parsePEM(try Stage.foreign.get().root.certificatePEM)
            let stage = try Secured.stage(
                backend, .postgres,
                BackendTLS(.verify, name: "localhost", trust: ListenerTrust(trustsCluster: false, anchors: anchors)))
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(`A PostgreSQL port`.errorFields(try client.receiveAll())["C"] == "57P03")
            let isReported = await eventually(within: 20) {
                let events = stage.events.named(.connectionClosed) + stage.events.named(.connectionRefused)
                return events.contains { event in
                    guard case .string(let detail)? = event.fields["detail"] else { return false }
                    return detail.contains("unknown CA")
                }
            }
            #expect(isReported)
            #expect(await eventually(within: 20) { stage.open == 0 })
            await stage.proxy.stop()
        }

        @Test(arguments: [DatabaseProtocol.cassandra, .redis])
        func `speaks in clear where TLS is wanted from the first byte`(_ spoken: DatabaseProtocol) async throws {
            let backend = try TestBackend { socket, backend in
                let first = try socket.receive()
                backend.note(first)
                try socket.send(Array("-ERR what?\r\n".utf8))
                backend.note((try? socket.receiveAll()) ?? [])
            }
            let stage = try Secured.stage(backend, spoken)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            try client.send(`A refused client`.request(spoken))
            let text = String(decoding: try client.receiveAll(), as: UTF8.self)
            #expect(text.contains("does not accept connections"), "\(text)")
            #expect(backend.noted.allSatisfy { $0.isEmpty || $0.first == 0x16 || $0.first == 0x15 })
            #expect(await eventually(within: 20) { stage.refused(.backendDown) == 1 })
            await stage.proxy.stop()
        }
    }
}
