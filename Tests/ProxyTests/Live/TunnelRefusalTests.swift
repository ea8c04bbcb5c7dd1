import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// A remote end that is not who it should be hears nothing; the client hears that it is away.
    @Suite(.timeLimit(.minutes(3))) struct `A remote end that a tunnel does not accept` {
        /// Notes what it is told inside TLS.
        private static func remote(_ context: TLSContext, asks: Bool = false) throws -> TestBackend {
            try TestBackend { socket, backend in
                if asks {
                    _ = try socket.receive(8)
                    try socket.send([UInt8(ascii: "S")])
                }
                guard let server = try? TestTLSServer(socket, context) else { return }
                let said = (try? server.receive()) ?? []
                if !said.isEmpty { backend.note(said) }
                try server.send(said)
            }
        }

        private static func say(_ words: [UInt8], to stage: Stage) throws -> [UInt8] {
            let client = try TestSocket(port: stage.port(of: "out"))
            try client.send(words)
            return (try? client.receiveAll()) ?? []
        }

        private static let ping = Array("PING\r\n".utf8)

        struct Case: CustomStringConvertible, Sendable {
            let description: String
            /// Of the event.
            let words: String
            let identity: @Sendable (TestAuthority) throws -> TestIdentity
        }

        private static let cases: [Case] = [
            Case(description: "another name", words: "ostname mismatch") {
                try $0.issue(name: "localhost", dnsNames: ["other.example"], usage: [.server])
            },
            Case(description: "its name in the subject alone", words: "ostname mismatch") {
                try $0.issue(name: "localhost", usage: [.server])
            },
            Case(description: "a foreign authority", words: "unable to get local issuer certificate") { _ in
                try Stage.foreign.get().server()
            },
            Case(description: "expired", words: "expired") {
                try $0.issue(name: "localhost", dnsNames: ["localhost"], usage: [.server], validity: -3600 ... -60)
            },
            Case(description: "not yet valid", words: "not yet valid") {
                try $0.issue(name: "localhost", dnsNames: ["localhost"], usage: [.server], validity: 3600...7200)
            },
            Case(description: "for clients only", words: "purpose") {
                try $0.issue(name: "localhost", dnsNames: ["localhost"], usage: [.client])
            },
            Case(description: "without a usage", words: "the extended key usage does not name this use") {
                try $0.issue(name: "localhost", dnsNames: ["localhost"], usage: [])
            },
        ]

        @Test(arguments: cases, [TLSVersion.tls12, .tls13])
        func `by its certificate gets no byte`(_ wrong: Case, _ version: TLSVersion) async throws {
            let identity = try wrong.identity(try Stage.authority.get())
            let backend = try Self.remote(try TestTLSServer.context(identity, maximum: version))
            let stage = try Stage([try Stage.tunnel(.redis, to: backend.address.description)])
            let answer = try Self.say(Self.ping, to: stage)
            #expect(answer == Array("-ERR the remote end of this tunnel cannot be reached\r\n".utf8), "\(answer)")
            #expect(await eventually(within: 20) { stage.refused(.remoteRefused) == 1 })
            #expect(stage.refusalDetails.first?.contains(wrong.words) == true, "\(stage.refusalDetails)")
            #expect(stage.events.named(.connectionRefused).first?.fields["tunnel"] == "out")
            #expect(stage.events.named(.connectionAccepted).isEmpty)
            #expect(backend.count == 1 && backend.noted.isEmpty)
            #expect(await eventually(within: 20) { stage.open == 0 })
            #expect(try stage.counters("out").bytesReceived.value == 0)
            await stage.proxy.stop()
        }

        @Test func `by a revocation list or a deny list gets no byte`() async throws {
            let folder = try temporaryDirectory()
            let authority = try Stage.authority.get()
            try folder.write(try authority.revocationList(by: authority.root), to: "root")
            let revoked = try Stage.server.get()
            try folder.write(try authority.revocationList { $0.revoked = [revoked] }, to: "crl")
            try folder.write("dns localhost\n", to: "denied")
            let backend = try Self.remote(try TestTLSServer.context(try Stage.server.get()))
            let kinds: [(words: String, lists: [String], denied: [String])] = [
                ("revoked", ["root", "crl"], []), ("deny list: dns localhost", [], ["denied"]),
                ("no list", ["root"], []),
            ]
            for (words, lists, denied) in kinds {
                let stage = try Stage([
                    try Stage.tunnel(.redis, to: backend.address.description) {
                        $0.denyLists = denied.map { folder.file($0) }
                        if lists.isEmpty { return }
                        $0.revocation = RevocationConfiguration(files: lists.map { folder.file($0) })
                    }
                ])
                #expect(try Self.say(Self.ping, to: stage).first == UInt8(ascii: "-"))
                #expect(await eventually(within: 20) { stage.refused(.remoteRefused) == 1 })
                let detail = stage.refusalDetails.first ?? ""
                #expect(detail.contains(words) || words == "no list", "\(detail)")
                await stage.proxy.stop()
            }
            #expect(backend.count == 3 && backend.noted.isEmpty)
        }

        /// With TLS 1.3 it says so after the handshake is over for the tunnel.
        @Test(arguments: [TLSVersion.tls12, .tls13])
        func `does not accept the tunnel's certificate either`(_ version: TLSVersion) async throws {
            let context = try TestTLSServer.context(
                try Stage.server.get(), maximum: version, trusting: try Stage.foreign.get(), protocols: ["postgresql"])
            let backend = try Self.remote(context, asks: true)
            let stage = try Stage([
                try Stage.tunnel(.postgres, to: backend.address.description) {
                    $0.health = BackendHealthRules(every: .seconds(1), timeout: .seconds(2))
                }
            ])
            let fields = `A PostgreSQL port`.errorFields(try Self.say(startup(), to: stage))
            #expect(fields["C"] == "57P03" && fields["M"]?.contains("tunnel") == true, "\(fields)")
            let isTold = await eventually(within: 20) {
                let events = stage.events.named(.connectionClosed) + stage.events.named(.connectionRefused)
                return events.contains { event in
                    guard case .string(let detail)? = event.fields["detail"] else { return false }
                    return detail.contains("unknown CA")
                }
            }
            #expect(isTold)
            #expect(backend.noted.isEmpty)
            // A probe sees it too.
            let health = try #require(stage.proxy.listeners.first).backendHealth
            #expect(await eventually(within: 20) { health.findings.first?.state == .down })
            #expect(health.findings.first?.reason?.contains("unknown CA") == true, "\(health.findings)")
            await stage.proxy.stop()
        }

        @Test func `or that is not there is told in each protocol`() async throws {
            let dead = try TestBackend.echo()
            dead.stop()
            let spoken: [(DatabaseProtocol, [UInt8])] = [
                (.postgres, startup()), (.redis, Self.ping), (.cassandra, [4, 0, 0, 0x2A, 5, 0, 0, 0, 0]), (.tcp, [1]),
            ]
            let stage = try Stage(
                try spoken.map { try Stage.tunnel($0.0, to: dead.address.description, name: $0.0.rawValue) })
            for (kind, request) in spoken {
                let client = try TestSocket(port: stage.port(of: kind.rawValue))
                try client.send(request)
                let answer = (try? client.receiveAll()) ?? []
                let text = String(decoding: answer, as: UTF8.self)
                #expect(text.contains("cannot be reached") == (kind != .tcp), "\(kind) \(text)")
                if kind == .cassandra { #expect(answer.prefix(5) == [0x84, 0, 0, 0x2A, 0]) }
            }
            #expect(await eventually(within: 20) { stage.refused(.remoteDown) == 4 })
            await stage.proxy.stop()
        }

        @Test(arguments: [true, false])
        func `speaks no TLS, or not the protocol that direct TLS demands`(_ isPlain: Bool) async throws {
            let backend =
                try isPlain
                ? TestBackend { socket, backend in
                    let first = try socket.receive()
                    if first.first != 0x16 { backend.note(first) }
                    try socket.send(Array("-ERR what?\r\n".utf8))
                    _ = try socket.receiveAll()
                } : Self.remote(try TestTLSServer.context(try Stage.server.get()))
            let stage = try Stage([
                try Stage.tunnel(.postgres, to: backend.address.description) { $0.tunnel?.isDirect = true }
            ])
            #expect(`A PostgreSQL port`.errorFields(try Self.say(startup(), to: stage))["C"] == "57P03")
            #expect(await eventually(within: 20) { stage.refused(isPlain ? .remoteDown : .remoteRefused) == 1 })
            #expect(backend.noted.isEmpty)
            await stage.proxy.stop()
        }

        @Test func `is no reason to begin where the tunnel itself is not in order`() async throws {
            let remote = try TestBackend.echo()
            for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:19100"] {
                let open = try Stage.tunnel(.tcp, to: remote.address.description) {
                    $0.listen = [SocketAddress(address)].compactMap(\.self)
                }
                #expect(open.mistakes.first?.contains("in clear") == true, "\(open.mistakes)")
                #expect(throws: ProxyError.self) { try Stage([open]) }
            }
            let acknowledged = try Stage.tunnel(.tcp, to: remote.address.description) {
                $0.listen = [.ipv4([0, 0, 0, 0], port: 0)]
                $0.tunnel?.acknowledgesPlaintext = true
            }
            #expect(acknowledged.mistakes.isEmpty)
            // Its certificate is for servers alone: it could not be mutual.
            let stage = try Stage([try Stage.tunnel(.redis, to: remote.address.description)], publishes: false)
            try stage.publish(
                try Stage.authority.get().issue(name: "localhost", dnsNames: ["localhost"], usage: [.server]))
            #expect(try Self.say(Self.ping, to: stage).first == UInt8(ascii: "-"))
            #expect(await eventually(within: 20) { stage.refused(.noCertificateYet) == 1 && remote.count == 0 })
            #expect(
                stage.health.snapshot.reasons.contains {
                    $0.code == "LISTENER_CERTIFICATE_REFUSED" && $0.subject == "tunnel out"
                        && $0.detail.contains("usage: client")
                })
            await stage.proxy.stop()
        }
    }
}
