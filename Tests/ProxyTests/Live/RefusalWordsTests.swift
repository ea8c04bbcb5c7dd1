import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// What a client reads that may not come in, inside TLS and in its own protocol, however its request is cut.
    @Suite(.timeLimit(.minutes(4))) struct `A refused client` {
        private static let options: [UInt8] = [0x04, 0, 0x12, 0x34, 0x05, 0, 0, 0, 0]
        private static let ping = Array("*1\r\n$4\r\nPING\r\n".utf8)

        static func request(_ spoken: DatabaseProtocol) -> [UInt8] {
            switch spoken {
            case .postgres: startup()
            case .cassandra: options
            case .redis, .tcp: ping
            }
        }

        /// Whether `answer` is this refusal, whole and nothing else.
        static func isRefusal(_ answer: [UInt8], _ spoken: DatabaseProtocol, _ words: String) -> Bool {
            let text = String(decoding: answer, as: UTF8.self)
            guard text.contains(words) else { return false }
            switch spoken {
            case .postgres:
                let length = answer[1..<5].reduce(0) { $0 << 8 | Int($1) }
                return `A PostgreSQL port`.errorFields(answer)["C"] == "28000" && length == answer.count - 1
            case .cassandra:
                return Array(answer[..<5]) == [0x84, 0, 0x12, 0x34, 0] && Array(answer[9..<13]) == [0, 0, 1, 0]
                    && answer[5..<9].reduce(0) { $0 << 8 | Int($1) } == answer.count - 9
            case .redis: return text.hasPrefix("-NOPERM ") && text.hasSuffix("\r\n") && text.count { $0 == "\r\n" } == 1
            case .tcp: return false
            }
        }

        private static func stage(
            _ spoken: DatabaseProtocol, _ backend: TestBackend, explains: Bool = true
        ) throws -> Stage {
            var limits = ProxyLimits()
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            return try Stage(
                [
                    try Stage.listener(spoken, backend: [backend.address]) { $0.explainsCertificateRefusals = explains }
                ], limits: limits)
        }

        private static func asked(
            _ stage: Stage, _ spoken: DatabaseProtocol, as identity: TestIdentity?, cutAt cut: Int,
            maximum: TLSVersion = .tls13
        ) throws -> [UInt8] {
            let client = try TestClient(
                stage.port, as: identity, spoken == .postgres ? .sslRequest : .direct, maximum: maximum)
            let request = request(spoken)
            if cut > 0 { try client.send(Array(request[..<cut])) }
            try client.send(Array(request[cut...]))
            return try client.receiveAll()
        }

        @Test(arguments: [DatabaseProtocol.postgres, .cassandra, .redis])
        func `reads that no rule names it, and why its certificate is not accepted, wherever its request is cut`(
            _ spoken: DatabaseProtocol
        ) async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(spoken, backend)
            for cut in Self.request(spoken).indices {
                let intern = try Self.asked(stage, spoken, as: try Stage.intern.get(), cutAt: cut)
                #expect(
                    Self.isRefusal(intern, spoken, "not allowed: no rule of this port names it"), "\(cut): \(intern)")
                let stranger = try Self.asked(stage, spoken, as: try Stage.stranger.get(), cutAt: cut)
                #expect(
                    Self.isRefusal(stranger, spoken, "not accepted: unable to get local issuer certificate"),
                    "\(cut): \(String(decoding: stranger, as: UTF8.self))")
                let nobody = try Self.asked(stage, spoken, as: nil, cutAt: cut)
                #expect(Self.isRefusal(nobody, spoken, "a client certificate is required"), "\(cut): \(nobody)")
            }
            let count = UInt64(Self.request(spoken).count)
            #expect(await eventually(within: 20) { stage.refused(.noRule) == count })
            #expect(await eventually(within: 20) { stage.refused(.unknownIssuer) == count })
            #expect(await eventually(within: 20) { stage.refused(.noPeerCertificate) == count })
            #expect(backend.count == 0)
            #expect(try stage.counters().handshakesFailed.value == 2 * count)
            await stage.proxy.stop()
        }

        static let kinds:
            [(words: String, reason: RefusalReason, make: @Sendable (TestAuthority) throws -> TestIdentity)] =
                [
                    ("certificate has expired", .expired, { try $0.issue(name: "shop", validity: -3600 ... -60) }),
                    (
                        "certificate is not yet valid", .notYetValid,
                        { try $0.issue(name: "shop", validity: 3600...7200) }
                    ),
                    (
                        "the extended key usage does not name this use", .wrongPurpose,
                        { try $0.issue(name: "a", usage: []) }
                    ),
                    (
                        "an authority's own certificate is no peer's", .authorityAsPeer,
                        { try $0.issue(name: "shop", isAuthority: true, by: .root) }
                    ),
                ]

        @Test(arguments: TLSVersion.allCases)
        func `with a certificate of the right authority reads what is wrong with it, and is no peer`(
            _ version: TLSVersion
        ) async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(.postgres, backend)
            for kind in Self.kinds {
                let identity = try kind.make(try Stage.authority.get())
                let answer = try Self.asked(stage, .postgres, as: identity, cutAt: 0, maximum: version)
                #expect(Self.isRefusal(answer, .postgres, "not accepted: "), "\(kind.words)")
                let words = `A PostgreSQL port`.errorFields(answer)["M"] ?? ""
                #expect(words.contains(kind.words) || kind.reason == .authorityAsPeer, "\(words)")
                #expect(await eventually(within: 20) { stage.refused(kind.reason) == 1 }, "\(kind.words)")
            }
            #expect(stage.events.named(.connectionRefused).allSatisfy { $0.fields["peer.subject"] == nil })
            #expect(stage.events.named(.connectionAccepted).isEmpty && backend.count == 0)
            await stage.proxy.stop()
        }

        /// What each protocol says of a full house and of a database that is down.
        static func code(_ answer: [UInt8], _ spoken: DatabaseProtocol) -> String {
            switch spoken {
            case .postgres: `A PostgreSQL port`.errorFields(answer)["C"] ?? ""
            case .cassandra: answer.count > 13 ? String(answer[9..<13].reduce(0) { $0 << 8 | Int($1) }, radix: 16) : ""
            case .redis, .tcp: String(decoding: answer, as: UTF8.self)
            }
        }

        @Test(arguments: [
            (DatabaseProtocol.postgres, "53300", "57P03"), (.cassandra, "1001", "1002"),
            (
                .redis, "-ERR max number of clients reached\r\n",
                "-ERR the database behind this port does not accept connections\r\n"
            ),
        ])
        func `reads that the house is full or the database is down, wherever its request is cut`(
            _ spoken: DatabaseProtocol, full: String, down: String
        ) async throws {
            let backend = try TestBackend.echo()
            let dead = try TestBackend.echo()
            dead.stop()
            var limits = ProxyLimits()
            limits.connections = 1
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            let stage = try Stage([try Stage.listener(spoken, backend: [backend.address])], limits: limits)
            let without = try Stage([try Stage.listener(spoken, backend: [dead.address])])
            let request = Self.request(spoken)
            let held = try TestClient(
                stage.port, as: try Stage.client.get(), spoken == .postgres ? .sslRequest : .direct)
            try held.send(request)
            _ = try held.receive(count: request.count)
            for cut in request.indices {
                let refused = try Self.asked(stage, spoken, as: try Stage.client.get(), cutAt: cut)
                #expect(Self.code(refused, spoken) == full, "\(cut)")
                let lost = try Self.asked(without, spoken, as: try Stage.client.get(), cutAt: cut)
                #expect(Self.code(lost, spoken) == down, "\(cut)")
            }
            #expect(backend.count == 1)
            await stage.proxy.stop()
            await without.proxy.stop()
        }

        @Test func `reads that its StartupMessage is malformed, wherever it is cut`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(.postgres, backend)
            let message = [0, 0, 0, 15, 0, 3, 0, 0] + Array("user\0ab".utf8)
            for cut in message.indices {
                let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
                if cut > 0 { try client.send(Array(message[..<cut])) }
                try client.send(Array(message[cut...]))
                #expect(Self.code(try client.receiveAll(), .postgres) == "08P01", "\(cut)")
            }
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }

        @Test func `that is not verified can do nothing else, whatever it sends`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(.postgres, backend)
            let canceller = try TestClient(stage.port, as: try Stage.stranger.get(), .sslRequest)
            try canceller.send([0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 1, 0, 0, 0, 2])
            #expect(try canceller.receiveAll() == [])
            let direct = try TestClient(stage.port, as: try Stage.stranger.get(), .direct)
            try direct.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
            #expect(try direct.take(1) == [UInt8(ascii: "N")])
            try direct.send(startup() + startup())
            #expect(Self.isRefusal(try direct.receiveAll(), .postgres, "not accepted"))
            let leaving = try TestClient(stage.port, as: nil, .sslRequest)
            try leaving.endWriting()
            #expect(await eventually(within: 20) { stage.unauthenticated == 0 })
            #expect(
                await eventually(within: 20) {
                    stage.refused(.unknownIssuer) == 2 && stage.refused(.noPeerCertificate) == 1
                })
            #expect(stage.events.named(.cancelDropped).isEmpty && stage.events.named(.cancelForwarded).isEmpty)
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }

        @Test func `of a proxy that stops reads that in its own protocol`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(.postgres, backend)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            #expect(await eventually(within: 20) { (try? stage.counters().handshakesFinished.value) == 1 })
            await stage.proxy.stop()
            #expect(`A PostgreSQL port`.errorFields(try client.receiveAll())["C"] == "57P01")
        }

        @Test func `reads it from psql`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Self.stage(.postgres, backend)
            let expired = try Stage.authority.get().issue(name: "shop", validity: -3600 ... -60)
            for (identity, words) in [
                (try Stage.stranger.get(), "this client certificate is not accepted: unable to get local issuer"),
                (expired, "this client certificate is not accepted: certificate has expired"),
                (nil, "FATAL:  a client certificate is required"),
            ] {
                let psql = try TestPostgres.psql(stage.port, as: identity, "select 1")
                #expect(!psql.succeeded && psql.errors.contains(words), "\(psql)")
            }
            #expect(backend.count == 0)
            await stage.proxy.stop()
            let silent = try Self.stage(.postgres, backend, explains: false)
            let psql = try TestPostgres.psql(silent.port, as: expired, "select 1")
            #expect(!psql.succeeded && psql.errors.contains("alert certificate expired"), "\(psql)")
            await silent.proxy.stop()
        }
    }
}
