import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// New certificates, new trust, lists that name the remote end, and a remote end that comes and goes.
    @Suite(.timeLimit(.minutes(3))) struct `A live tunnel` {
        /// Notes the serial number of the client's certificate, and sends back whatever comes.
        private static func remote() throws -> TestBackend {
            try TestBackend.secured { server, backend in
                backend.note(Array(server.clientSerial.utf8))
                while true {
                    let bytes = try server.receive()
                    if bytes.isEmpty { return try server.endWriting() }
                    try server.send(bytes)
                }
            }
        }

        private static func client(_ stage: Stage) throws -> TestSocket {
            let client = try TestSocket(port: stage.port(of: "out"))
            guard isAlive(client) else { throw TestSupportError("there is no way through the tunnel") }
            return client
        }

        private static func isAlive(_ client: TestSocket) -> Bool {
            (try? client.send([7])) != nil && (try? client.receive(1)) == [7]
        }

        private static func closings(_ stage: Stage) -> [JSONValue?] {
            stage.events.named(.connectionClosed).map { $0.fields["reason"] }
        }

        @Test func `shows a renewed certificate to new connections, and goes on with the others`() async throws {
            let backend = try Self.remote()
            let stage = try Stage([try Stage.tunnel(.tcp, to: backend.address.description)])
            let old = try Self.client(stage)
            let renewed = try Stage.authority.get().server()
            try stage.publish(renewed)
            #expect(Self.isAlive(old))
            let new = try Self.client(stage)
            let serials = try [Stage.server.get(), renewed].map { Array(try $0.certificate().serial.utf8) }
            #expect(backend.noted == serials)
            #expect(Self.isAlive(old) && Self.isAlive(new))
            await stage.proxy.stop()
        }

        @Test func `is cut when its remote end is revoked, denied or no longer trusted`() async throws {
            let folder = try temporaryDirectory()
            let authority = try Stage.authority.get()
            let backend = try Self.remote()
            try folder.write(try authority.revocationList(by: authority.root), to: "root")
            try folder.write(try authority.revocationList(), to: "crl")
            try folder.write("", to: "denied")
            let stage = try Stage([
                try Stage.tunnel(.tcp, to: backend.address.description) {
                    $0.revocation = RevocationConfiguration(files: [folder.file("root"), folder.file("crl")])
                    $0.denyLists = [folder.file("denied")]
                }
            ])
            func isCut(by reason: JSONValue, _ client: TestSocket) async -> Bool {
                // In clear a reset says so.
                let isReset = (try? client.receiveAll()) == nil
                return await eventually(within: 20) { Self.closings(stage).last == reason } && isReset
            }
            let denied = try Self.client(stage)
            try Files.write(Array("common-name localhost\n".utf8), to: folder.file("denied"), mode: 0o600)
            #expect(await isCut(by: "denied", denied))
            try Files.write([], to: folder.file("denied"), mode: 0o600)
            #expect(await eventually(within: 20) { (try? Self.client(stage)) != nil })
            let revoked = try Self.client(stage)
            let list = try authority.revocationList {
                $0.number = 2
                $0.revoked = [try? Stage.server.get()].compactMap(\.self)
            }
            try Files.write(list, to: folder.file("crl"), mode: 0o600)
            #expect(await isCut(by: "revoked", revoked))
            #expect(throws: (any Error).self) { try Self.client(stage) }
            await stage.proxy.stop()
            let trusting = try Stage([try Stage.tunnel(.tcp, to: backend.address.description)])
            let untrusted = try Self.client(trusting)
            trusting.proxy.publish(trust: try TrustAnchors(pem: try Stage.foreign.get().root.certificatePEM))
            #expect((try? untrusted.receiveAll()) == nil)
            #expect(await eventually(within: 20) { Self.closings(trusting) == ["no-longer-trusted"] })
            await trusting.proxy.stop()
        }

        @Test func `takes changed trust over in one step, and is cut by it`() async throws {
            let backend = try Self.remote()
            let stage = try Stage([
                try Stage.tunnel(.tcp, to: backend.address.description, name: "other"),
                try Stage.tunnel(.tcp, to: backend.address.description) { $0.timeouts.idle = .seconds(60) },
            ])
            let client = try Self.client(stage)
            var change = ProxyChange()
            let foreign = try Certificate.parsePEM(try Stage.foreign.get().root.certificatePEM)
            change.trust["out"] = ListenerTrust(trustsCluster: false, anchors: foreign)
            let tested = try stage.proxy.test(change)
            #expect(tested.newTunnelTrust == ["out"] && tested.newTrust.isEmpty)
            #expect(stage.proxy.adopt(tested))
            await stage.proxy.reviewed()
            #expect((try? client.receiveAll()) == nil)
            #expect(Self.closings(stage) == ["no-longer-trusted"])
            #expect((try? Self.client(stage)) == nil)
            #expect(await eventually(within: 20) { stage.refused(.remoteRefused) == 1 })
            await stage.proxy.stop()
        }

        @Test func `ends in order when nothing has moved for its time`() async throws {
            let backend = try Self.remote()
            let stage = try Stage([
                try Stage.tunnel(.tcp, to: backend.address.description) { $0.timeouts.idle = .milliseconds(300) }
            ])
            let client = try Self.client(stage)
            #expect(try client.receiveAll().isEmpty)
            #expect(await eventually(within: 20) { Self.closings(stage) == ["idle"] })
            await stage.proxy.stop()
        }

        @Test func `ends with its remote end's certificate`() async throws {
            let brief = try Stage.authority.get().issue(
                name: "localhost", dnsNames: ["localhost"], usage: [.server], validity: -60...4)
            let backend = try TestBackend.secured(as: brief) { server, _ in
                while true { try server.send(try server.receive()) }
            }
            let stage = try Stage([try Stage.tunnel(.tcp, to: backend.address.description)])
            let client = try Self.client(stage)
            #expect((try? client.receiveAll()) == nil)
            #expect(await eventually(within: 20) { Self.closings(stage) == ["certificate-expired"] })
            await stage.proxy.stop()
        }

        @Test(arguments: [false, true])
        func `finds a remote end that was away as soon as it is back`(_ isAsked: Bool) async throws {
            let service = try TestBackend.echo()
            let port = try freePort()
            let remote = try Stage([
                try Stage.listener(.redis, backend: [service.address], name: "in") {
                    $0.listen = [.ipv4([127, 0, 0, 1], port: UInt16(port))]
                    $0.policy = AccessPolicy(allow: [try AccessRule([.dns: ["localhost"]])])
                }
            ])
            let stage = try Stage([
                try Stage.tunnel(isAsked ? .tcp : .redis, to: "localhost:\(port)") {
                    if isAsked { $0.health = BackendHealthRules(every: .seconds(1), timeout: .seconds(1)) }
                }
            ])
            let health = try #require(stage.proxy.listeners.first).backendHealth
            func isShown(_ state: String) -> Bool {
                stage.proxy.publishStatus()
                return stage.health.snapshot.sections["proxy"]?.text.contains(#""health":"\#(state)""#) == true
            }
            #expect(isAsked ? await eventually(within: 20) { isShown("up") } : isShown("unknown"))
            _ = try Self.client(stage)
            #expect(isShown("up"))
            await remote.proxy.beginDrain()
            let isDown = { health.findings.contains { $0.state == .down } && health.worthTrying.isEmpty }
            if isAsked { #expect(await eventually(within: 20) { isDown() }) }
            for number in 1...5 {
                let client = try TestSocket(port: stage.port(of: "out"))
                try client.send(Array("PING\r\n".utf8))
                let answer = (try? client.receiveAll()) ?? []
                #expect(answer.isEmpty == isAsked)
                #expect(await eventually(within: 20) { stage.refused(.remoteDown) == number })
            }
            #expect(isShown(isAsked ? "down" : "failing"))
            let isReported = { stage.health.snapshot.reasons.contains { $0.code == "REMOTE_DOWN" } }
            #expect(isReported() == isAsked)
            try remote.proxy.undrain()
            if isAsked {
                let isUp = await eventually(within: 20) { health.findings.contains { $0.state == .up } }
                #expect(isUp, "\(health.findings)")
            }
            _ = try Self.client(stage)
            #expect(isShown("up") && !isReported())
            await stage.proxy.stop()
            await remote.proxy.stop()
        }

        @Test func `takes another address of the name when one does not answer`() async throws {
            let backend = try Self.remote()
            let stage = try Stage([
                try Stage.tunnel(.tcp, to: "localhost:\(backend.port)") { $0.timeouts.connect = .seconds(2) }
            ])
            let health = try #require(stage.proxy.listeners.first).backendHealth
            let client = try Self.client(stage)
            #expect(health.worthTrying.contains(backend.address))
            #expect(Self.isAlive(client))
            // Nobody answers there, and nobody refuses either (RFC 5737).
            health.adopt([.ipv4([192, 0, 2, 1], port: 9), backend.address])
            let second = try TestSocket(port: stage.port(of: "out"))
            #expect(Self.isAlive(second))
            await stage.proxy.stop()
        }
    }
}
