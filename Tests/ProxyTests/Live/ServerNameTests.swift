import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// `certificates` of a listener.
    @Suite(.timeLimit(.minutes(3))) struct `A listener with several certificates` {
        private struct Scene {
            let backend: TestBackend
            let stage: Stage
            let other: TestIdentity
        }

        private static func scene(
            _ spoken: DatabaseProtocol = .tcp, isStrict: Bool = false, publishesOther: Bool = true
        ) throws -> Scene {
            let backend = try TestBackend.echo()
            let stage = try Stage([
                try Stage.listener(spoken, backend: [backend.address]) {
                    $0.otherCertificateRoles = ["other"]
                    $0.refusesUnknownNames = isStrict
                }
            ])
            let other = try Stage.authority.get().issue(
                name: "other", dnsNames: ["other.example", "*.pool.example"], usage: [.server], key: .rsa2048)
            let scene = Scene(backend: backend, stage: stage, other: other)
            if publishesOther { try publish(other, scene) }
            return scene
        }

        private static func publish(_ identity: TestIdentity, _ scene: Scene) throws {
            scene.stage.proxy.publish(
                identity: try TLSIdentity(chainFile: try identity.chainPEM, keyFile: identity.keyPath),
                forRole: "other")
        }

        /// As a client sees it that asks for the name, and verifies it.
        private static func serial(_ scene: Scene, _ name: String) throws -> String {
            let client = try TestClient(scene.stage.port, as: try Stage.client.get(), .direct, serverName: name)
            try client.send("x")
            #expect(try client.receive(count: 1) == [UInt8(ascii: "x")])
            return client.serverSerial
        }

        @Test func `shows each to those who ask for it, and renews each by itself`() async throws {
            let scene = try Self.scene()
            let (first, second) = (try Stage.server.get().certificate(), try scene.other.certificate())
            #expect(try Self.serial(scene, "localhost") == first.serial)
            #expect(try Self.serial(scene, "other.example") == second.serial)
            #expect(try Self.serial(scene, "a.pool.example") == second.serial)
            // Whoever asks for neither is shown the first.
            #expect(try Self.serial(scene, "127.0.0.1") == first.serial)
            let renewed = try Stage.authority.get().issue(
                name: "other", dnsNames: ["other.example", "new.example"], usage: [.server])
            try Self.publish(renewed, scene)
            #expect(try Self.serial(scene, "new.example") == renewed.certificate().serial)
            #expect(try Self.serial(scene, "localhost") == first.serial)
            #expect(throws: TLSFailure.self) { try Self.serial(scene, "a.pool.example") }
            let again = try Stage.authority.get().server()
            try scene.stage.publish(again)
            #expect(try Self.serial(scene, "localhost") == again.certificate().serial)
            #expect(try Self.serial(scene, "other.example") == renewed.certificate().serial)
            await scene.stage.proxy.stop()
        }

        @Test func `changes them in one step, or none of them`() async throws {
            let scene = try Self.scene()
            let proxy = scene.stage.proxy
            func identity(_ made: TestIdentity) throws -> TLSIdentity {
                try TLSIdentity(chainFile: try made.chainPEM, keyFile: made.keyPath)
            }
            let first = try Stage.authority.get().server()
            let second = try Stage.authority.get().issue(name: "o", dnsNames: ["other.example"], usage: [.server])
            var change = ProxyChange()
            change.identities = ["database": try identity(first), "other": try identity(second)]
            #expect(proxy.adopt(try proxy.test(change)))
            #expect(try Self.serial(scene, "localhost") == first.certificate().serial)
            #expect(try Self.serial(scene, "other.example") == second.certificate().serial)
            let expired = try Stage.authority.get().issue(
                name: "o", dnsNames: ["other.example"], usage: [.server], validity: -7200 ... -3600)
            change.identities = ["database": try identity(try Stage.server.get()), "other": try identity(expired)]
            let error = #expect(throws: ProxyError.self) { try proxy.test(change) }
            #expect(
                error?.description.contains("database, other failed its test") == true, "\(String(describing: error))")
            #expect(try Self.serial(scene, "localhost") == first.certificate().serial)
            // One alone is tried beside the other that is in use.
            change.identities = ["other": try identity(scene.other)]
            #expect(proxy.adopt(try proxy.test(change)))
            #expect(try Self.serial(scene, "a.pool.example") == scene.other.certificate().serial)
            #expect(try Self.serial(scene, "localhost") == first.certificate().serial)
            await proxy.stop()
        }

        @Test func `tells in its status what it shows to whom`() async throws {
            let scene = try Self.scene()
            let shown = scene.stage.proxy.listeners.first?.document(isDraining: false)
            guard case .object(let members)? = shown else {
                Issue.record("no status")
                return
            }
            let (first, second) = (try Stage.server.get().certificate(), try scene.other.certificate())
            #expect(members["certificate"] == .string(first.serial))
            #expect(
                members["certificates"] == [
                    ["serial": .string(first.serial), "names": ["localhost"]],
                    ["serial": .string(second.serial), "names": ["other.example", "*.pool.example"]],
                ])
            await scene.stage.proxy.stop()
        }

        @Test func `opens with the first, and does not use another that fails its test`() async throws {
            let scene = try Self.scene(publishesOther: false)
            let first = try Stage.server.get().certificate()
            #expect(try Self.serial(scene, "localhost") == first.serial)
            let expired = try Stage.authority.get().issue(
                name: "other", dnsNames: ["other.example"], usage: [.server], validity: -7200 ... -3600)
            try Self.publish(expired, scene)
            let reason = scene.stage.health.snapshot.reasons.first { $0.code == "LISTENER_CERTIFICATE_REFUSED" }
            #expect(reason?.detail.contains("expired") == true, "\(String(describing: reason))")
            #expect(throws: TLSFailure.self) { try Self.serial(scene, "other.example") }
            try Self.publish(scene.other, scene)
            #expect(try Self.serial(scene, "other.example") == scene.other.certificate().serial)
            #expect(!scene.stage.health.snapshot.reasons.contains { $0.code == "LISTENER_CERTIFICATE_REFUSED" })
            await scene.stage.proxy.stop()
        }

        @Test(arguments: [DatabaseProtocol.tcp, .postgres])
        func `lets nobody in by any name whom it would not let in by another`(_ spoken: DatabaseProtocol) async throws {
            let strangers: [(TestIdentity?, RefusalReason)] = [
                (nil, .noPeerCertificate), (try Stage.stranger.get(), .unknownIssuer),
                (try Stage.intern.get(), .noRule),
            ]
            let names = ["localhost", "other.example", "x.pool.example", "127.0.0.1"]
            for isStrict in [false, true] {
                let scene = try Self.scene(spoken, isStrict: isStrict)
                for name in names {
                    for (identity, _) in strangers {
                        let client = try? TestClient(
                            scene.stage.port, as: identity, spoken == .tcp ? .direct : .sslRequest, serverName: name)
                        try? client?.send(startup())
                        _ = try? client?.receiveAll()
                    }
                }
                // An address is no name.
                let served = UInt64(isStrict ? names.count - 1 : names.count)
                for (_, reason) in strangers {
                    #expect(await eventually(within: 20) { scene.stage.refused(reason) == served }, "\(reason)")
                }
                #expect(await eventually(within: 20) { scene.stage.refused(.unknownServerName) == (isStrict ? 3 : 0) })
                #expect(scene.backend.count == 0 && scene.stage.open == 0)
                await scene.stage.proxy.stop()
            }
        }

        /// OpenSSL's, GnuTLS's and Python's clients, each of which verifies the name that it asks for.
        @Test func `is understood by clients of three TLS stacks`() async throws {
            let scene = try Self.scene()
            let (client, trust) = (try Stage.client.get(), try Stage.authority.get().trustPath)
            for name in ["localhost", "other.example", "b.pool.example"] {
                let openssl = try Subprocess.run(
                    "openssl",
                    [
                        "s_client", "-connect", "127.0.0.1:\(scene.stage.port)", "-servername", name, "-CAfile", trust,
                        "-verify_hostname", name, "-verify_return_error", "-cert", client.certificatePath,
                        "-cert_chain", try Stage.authority.get().intermediate.certificatePath, "-key", client.keyPath,
                    ])
                #expect(openssl.output.contains("Verify return code: 0 (ok)"), "\(openssl)")
                let gnutls = try Subprocess.run(
                    "gnutls-cli",
                    [
                        "-p", "\(scene.stage.port)", "127.0.0.1", "--sni-hostname", name, "--verify-hostname", name,
                        "--x509cafile", trust, "--x509certfile", client.chainPath, "--x509keyfile", client.keyPath,
                    ])
                #expect(gnutls.output.contains("The certificate is trusted"), "\(gnutls)")
                let python = try PythonPeers.run(
                    Self.pythonClient, ["\(scene.stage.port)", name, trust, client.chainPath, client.keyPath])
                #expect(python.output == "hello\n", "\(python)")
            }
            await scene.stage.proxy.stop()
        }

        private static let pythonClient = """
            import socket, ssl, sys
            port, name, trust, chain, key = sys.argv[1:]
            context = ssl.create_default_context(cafile=trust)
            context.load_cert_chain(chain, key)
            raw = socket.create_connection(("127.0.0.1", int(port)))
            with context.wrap_socket(raw, server_hostname=name) as client:
                client.sendall(b"hello")
                print(client.recv(5).decode())
            """
    }
}
