import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// A listener before PostgreSQL, with real sockets and real TLS.
    @Suite(.timeLimit(.minutes(2))) struct `A PostgreSQL port` {
        private func stage(_ backend: TestBackend, limits: ProxyLimits = ProxyLimits()) throws -> Stage {
            try Stage([try Stage.listener(.postgres, backend: [backend.address])], limits: limits)
        }

        /// The fields of an ErrorResponse by their type.
        static func errorFields(_ bytes: [UInt8]) -> [Character: String] {
            guard bytes.first == UInt8(ascii: "E"), bytes.count > 6 else { return [:] }
            var fields: [Character: String] = [:]
            for field in bytes[5...].split(separator: 0) {
                fields[Character(UnicodeScalar(field[field.startIndex]))] = String(
                    decoding: field.dropFirst(), as: UTF8.self)
            }
            return fields
        }

        @Test(arguments: [["postgresql"], []])
        func `relays an allowed client, its StartupMessage first`(_ protocols: [String]) async throws {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest, protocols: protocols)
            try client.send(startup() + Array("hello".utf8))
            let expected = startup() + Array("hello".utf8)
            #expect(try client.receive(count: expected.count) == expected)
            let summary = try #require(await stage.proxy.connections().first)
            #expect(summary.user == "shop" && summary.database == "orders")
            #expect(summary.peerSubject == "CN=shop")
            try client.endWriting()
            #expect(try client.receiveAll() == [])
            #expect(await eventually(within: 20) { stage.open == 0 })
            let accepted = try #require(stage.events.named(.connectionAccepted).first)
            #expect(accepted.fields["user"] == "shop" && accepted.fields["tls.version"] == "TLSv1.3")
            #expect(accepted.fields["rule"] == "allow[0] {uri: spiffe://c/app/*}")
            let closed = try #require(stage.events.named(.connectionClosed).first)
            #expect(closed.fields["reason"] == "finished")
            #expect(closed.fields["bytes.received"] == .count(expected.count))
            #expect(closed.fields["bytes.sent"] == .count(expected.count))
            await stage.proxy.stop()
        }

        @Test func `refuses a client that no rule allows in its own protocol, and the database never hears of it`()
            async throws
        {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            for version in TLSVersion.allCases {
                let client = try TestClient(stage.port, as: try Stage.intern.get(), .sslRequest, maximum: version)
                try client.send(startup())
                let fields = Self.errorFields(try client.receiveAll())
                #expect(fields["C"] == "28000" && fields["S"] == "FATAL")
                #expect(fields["M"]?.contains("not allowed") == true)
            }
            #expect(await eventually(within: 20) { stage.refused(.noRule) == 2 })
            #expect(backend.count == 0)
            #expect(stage.events.named(.connectionRefused).first?.fields["peer.subject"] == "CN=intern")
            await stage.proxy.stop()
        }

        @Test func `tells a client without a certificate by an alert that it needs one`() async throws {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            let client = try TestClient(stage.port, as: nil, .sslRequest)
            let error = #expect(throws: TLSFailure.self) {
                try client.send(startup())
                _ = try client.receive()
            }
            #expect(error?.kind == .peerAlert)
            #expect(await eventually(within: 20) { stage.refused(.noPeerCertificate) == 1 })
            let stranger = try TestClient(stage.port, as: try Stage.stranger.get(), .sslRequest)
            #expect(throws: TLSFailure.self) { _ = try stranger.receive() }
            #expect(await eventually(within: 20) { stage.refused(.unknownIssuer) == 1 })
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }

        @Test func `answers clear text in the wire format, and only that`() async throws {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            let clear = try TestSocket(port: stage.port)
            try clear.send(startup())
            #expect(Self.errorFields(try clear.receiveAll())["C"] == "28000")
            let ancient = try TestSocket(port: stage.port)
            try ancient.send([0, 0, 0, 8, 0, 2, 0, 0])
            #expect(Self.errorFields(try ancient.receiveAll())["C"] == "0A000")
            let gss = try TestSocket(port: stage.port)
            try gss.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30])
            #expect(try gss.receive() == [UInt8(ascii: "N")])
            let stuffed = try TestSocket(port: stage.port)
            try stuffed.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F] + startup())
            #expect(throws: (any Error).self) {
                let answer = try stuffed.receiveAll()
                if answer.isEmpty { throw TestSupportError("closed") }
            }
            #expect(await eventually(within: 20) { stage.refused(.stuffedPreamble) == 1 })
            #expect(
                await eventually(within: 20) {
                    stage.refused(.tlsRequired) == 1 && stage.refused(.unsupportedProtocol) == 1
                })
            #expect(backend.count == 0)
            await stage.proxy.stop()
        }

        @Test func `starts TLS at once for a client that names the protocol, and closes one that does not`()
            async throws
        {
            let backend = try TestBackend.echo()
            let stage = try stage(backend)
            let direct = try TestClient(stage.port, as: try Stage.client.get(), .direct, protocols: ["postgresql"])
            try direct.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
            #expect(try direct.receive(count: 1) == [UInt8(ascii: "N")])
            try direct.send(startup())
            #expect(try direct.receive(count: startup().count) == startup())
            let nameless = try TestClient(stage.port, as: try Stage.client.get(), .direct)
            #expect(try nameless.receiveAll() == [])
            #expect(await eventually(within: 20) { stage.refused(.noApplicationProtocol) == 1 })
            await stage.proxy.stop()
        }

        @Test func `says in the wire format that the database is down`() async throws {
            let backend = try TestBackend.echo()
            backend.stop()
            let stage = try stage(backend)
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(Self.errorFields(try client.receiveAll())["C"] == "57P03")
            #expect(await eventually(within: 20) { stage.open == 0 && stage.refused(.backendDown) == 1 })
            await stage.proxy.stop()
        }

        @Test func `says in the wire format that there are too many connections`() async throws {
            let backend = try TestBackend.echo()
            var limits = ProxyLimits()
            limits.connections = 1
            let stage = try stage(backend, limits: limits)
            let first = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try first.send(startup())
            _ = try first.receive(count: startup().count)
            let second = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try second.send(startup())
            #expect(Self.errorFields(try second.receiveAll())["C"] == "53300")
            try first.endWriting()
            _ = try first.receiveAll()
            #expect(await eventually(within: 20) { stage.open == 0 })
            let third = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try third.send(startup())
            #expect(try third.receive(count: startup().count) == startup())
            await stage.proxy.stop()
        }

        @Test func `judges by the database user where a rule names one`() async throws {
            let backend = try TestBackend.echo()
            let rule = try AccessRule([.commonName: ["shop"], .databaseUser: ["reporter"]])
            let stage = try Stage([
                try Stage.listener(.postgres, backend: [backend.address]) { $0.policy = AccessPolicy(allow: [rule]) }
            ])
            let allowed = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try allowed.send(startup(user: "reporter"))
            #expect(try allowed.receive().first == 0)
            let refused = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try refused.send(startup(user: "postgres"))
            #expect(Self.errorFields(try refused.receiveAll())["C"] == "28000")
            #expect(backend.count == 1)
            await stage.proxy.stop()
        }

        @Test func `refuses everybody, bound all the same, until there is a certificate`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([try Stage.listener(.postgres, backend: [backend.address])], publishes: false)
            #expect(stage.health.snapshot.reasons.contains { $0.code == "LISTENER_WITHOUT_CERTIFICATE" })
            #expect(throws: (any Error).self) { try TestClient(stage.port, as: try Stage.client.get(), .sslRequest) }
            #expect(await eventually(within: 20) { stage.refused(.noCertificateYet) == 1 })
            try stage.publish()
            let client = try TestClient(stage.port, as: try Stage.client.get(), .sslRequest)
            try client.send(startup())
            #expect(try client.receive(count: startup().count) == startup())
            #expect(!stage.health.snapshot.reasons.contains { $0.code == "LISTENER_WITHOUT_CERTIFICATE" })
            await stage.proxy.stop()
        }
    }
}
