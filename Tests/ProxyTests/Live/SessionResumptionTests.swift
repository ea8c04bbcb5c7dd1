import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

extension LiveTests {
    /// Each way to resume a session against each change after which a session must not be resumed.
    @Suite(.timeLimit(.minutes(5))) struct `A listener that resumes sessions` {
        /// What happens between two visits, and what becomes of the second one.
        enum Change: String, CaseIterable {
            case revocation, deniedClient, rulesWithoutClient, otherAuthority
            case rulesThatStillAllow, oneMoreAuthority, newServerCertificate, newList, newDenyList

            var refusal: RefusalReason? {
                switch self {
                case .revocation: .revoked
                case .deniedClient: .denied
                case .rulesWithoutClient: .noRule
                case .otherAuthority: .unknownIssuer
                default: nil
                }
            }
        }

        private let folder: TemporaryDirectory
        private let backend: TestBackend
        private let stage: Stage

        init() throws {
            folder = try temporaryDirectory()
            backend = try ResumingClient.backend()
            try folder.write("", to: "denied")
            try Self.put("root", in: folder, by: Stage.authority.get().root)
            try Self.put("crl", in: folder)
            stage = try Self.stage(folder, backend)
        }

        private static func put(
            _ name: String, in folder: TemporaryDirectory, by issuer: TestIdentity? = nil,
            _ change: (inout TestRevocationList) -> Void = { _ in }
        ) throws {
            let list = try Stage.authority.get().revocationList(by: issuer, change)
            try Files.write(list, to: folder.file(name), mode: 0o600)
        }

        private static func stage(_ folder: TemporaryDirectory, _ backend: TestBackend) throws -> Stage {
            func listener(_ name: String) throws -> ListenerConfiguration {
                try Stage.listener(.tcp, backend: [backend.address], name: name) {
                    $0.resumesSessions = true
                    $0.revocation = RevocationConfiguration(
                        files: [folder.file("root"), folder.file("crl")], rules: RevocationRules())
                    $0.denyLists = [folder.file("denied")]
                }
            }
            var limits = ProxyLimits()
            limits.perAddress = .init(connections: nil, unauthenticated: nil, rate: nil)
            return try Stage([try listener("db"), try listener("twin")], limits: limits)
        }

        /// With a session of each way, all of which resume as long as nothing changes.
        private func clients(as identity: TestIdentity) throws -> [ResumingClient] {
            try ResumingClient.Way.allCases.map { way in
                let client = ResumingClient(way, in: folder)
                let first = try client.begin(stage.port, as: identity)
                #expect(first.isServed && !first.isReused, "\(way): \(first)")
                let second = try client.comeAgain(stage.port, as: identity)
                #expect(second.isServed && second.isReused == way.isEverResumed, "\(way): \(second)")
                return client
            }
        }

        private func apply(_ change: Change) throws {
            let proxy = stage.proxy
            switch change {
            case .revocation:
                let client = try Stage.client.get()
                try Self.put("crl", in: folder) {
                    $0.number = 2
                    $0.revoked = [client]
                }
            case .newList: try Self.put("crl", in: folder) { $0.number = 2 }
            case .deniedClient:
                try Files.write(Array("common-name shop\n".utf8), to: folder.file("denied"), mode: 0o600)
            case .newDenyList:
                try Files.write(Array("common-name other\n".utf8), to: folder.file("denied"), mode: 0o600)
            case .rulesWithoutClient: try adopt(AccessPolicy(allow: [try AccessRule([.commonName: ["other"]])]))
            case .rulesThatStillAllow: try adopt(AccessPolicy(allow: [try AccessRule([.commonName: ["shop"]])]))
            case .otherAuthority:
                proxy.publish(trust: try TrustAnchors(pem: try Stage.foreign.get().root.certificatePEM))
            case .oneMoreAuthority:
                let both = try Stage.authority.get().root.certificatePEM + Stage.foreign.get().root.certificatePEM
                proxy.publish(trust: try TrustAnchors(pem: both))
            case .newServerCertificate: try stage.publish(try Stage.authority.get().server())
            }
            #expect(proxy.lookAtFiles(isForced: true) == [])
        }

        private func adopt(_ policy: AccessPolicy) throws {
            var change = ProxyChange()
            change.policies = ["db": policy]
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
        }

        private func count(_ listener: String = "db") throws -> [UInt64] {
            let counters = try stage.counters(listener)
            return [counters.ticketsResumed.value, counters.ticketsDeclined.value]
        }

        @Test(arguments: Change.allCases)
        func `never resumes one of before a change`(change: Change) async throws {
            let client = try Stage.client.get()
            let clients = try clients(as: client)
            #expect(try count() == [2, 0])
            try apply(change)
            for client in clients {
                let visit = try client.comeAgain(stage.port, as: Stage.client.get())
                #expect(!visit.isReused && visit.isServed == (change.refusal == nil), "\(client.way): \(visit)")
            }
            if let reason = change.refusal {
                let isRefused = await eventually(within: 20) { stage.refused(reason) == UInt64(clients.count) }
                #expect(isRefused, "\(stage.refusalDetails)")
            }
            #expect(try count()[0] == 2)
            if change.refusal == nil || change.refusal == .denied || change.refusal == .noRule {
                #expect(try count()[1] == 2)
            }
            await stage.proxy.stop()
        }

        @Test func `resumes after a reload that changes nothing`() async throws {
            let client = try Stage.client.get()
            let clients = try clients(as: client)
            var change = ProxyChange()
            for listener in stage.proxy.listeners {
                change.policies[listener.name] = listener.policy
                change.trust[listener.name] = listener.trust
            }
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(stage.proxy.lookAtFiles(isForced: true) == [])
            for one in clients {
                let visit = try one.comeAgain(stage.port, as: client)
                #expect(visit.isServed && visit.isReused == one.way.isEverResumed, "\(one.way): \(visit)")
            }
            #expect(try count() == [4, 0])
            await stage.proxy.stop()
        }

        @Test func `never resumes what another listener has begun, nor another process`() async throws {
            let client = try Stage.client.get()
            let clients = try clients(as: client)
            let restarted = try Self.stage(folder, backend)
            for one in clients {
                for port in [stage.port(of: "twin"), restarted.port] {
                    let visit = try one.comeAgain(port, as: client)
                    #expect(visit.isServed && !visit.isReused, "\(one.way): \(visit)")
                }
                let own = try one.comeAgain(stage.port, as: client)
                #expect(own.isServed && own.isReused == one.way.isEverResumed, "\(one.way): \(own)")
            }
            #expect(try count("twin") == [0, 2])
            await restarted.proxy.stop()
            await stage.proxy.stop()
        }

        @Test func `never resumes one whose certificate has expired`() async throws {
            // It must live until all sessions have been resumed once, on a busy machine too.
            for life in [8.0, 30, 120] {
                let brief = try Stage.authority.get().issue(
                    name: "shop", uris: ["spiffe://c/app/shop"], validity: -60...life)
                let end = try brief.certificate().notAfter
                let sessions = ResumingClient.Way.allCases.map { ResumingClient($0, in: folder) }
                let visits = try sessions.map { session in
                    (try session.begin(stage.port, as: brief), try session.comeAgain(stage.port, as: brief))
                }
                guard Timestamp.now.seconds < end else { continue }
                for (session, (first, second)) in zip(sessions, visits) {
                    #expect(first.isServed && second.isServed, "\(first)\(second)")
                    #expect(second.isReused == session.way.isEverResumed, "\(session.way): \(second)")
                }
                let before = try count()
                #expect(await eventually(within: life + 60) { Timestamp.now.seconds > end })
                for session in sessions {
                    let visit = try session.comeAgain(stage.port, as: brief)
                    #expect(!visit.isServed && !visit.isReused, "\(session.way): \(visit)")
                }
                #expect(await eventually(within: 20) { stage.refused(.expired) == 3 }, "\(stage.refusalDetails)")
                #expect(try count() == before)
                return await stage.proxy.stop()
            }
            Issue.record("no certificate lived long enough")
        }

        @Test func `judges a session that it resumes under the rules for its user`() async throws {
            let shop = startup()
            let server = try TestBackend { socket, _ in
                if try socket.receive().isEmpty { return }
                try socket.send(Array(ResumingClient.answer.utf8))
            }
            let stage = try Stage([
                try Stage.listener(.postgres, backend: [server.address]) {
                    $0.resumesSessions = true
                    $0.policy = AccessPolicy(
                        allow: [try AccessRule([.uri: ["spiffe://c/app/*"], .databaseUser: ["shop"]])])
                }
            ])
            let client = try Stage.client.get()
            let options = ["-starttls", "postgres"]
            for way in [ResumingClient.Way.pskOf13, .ticketOf12] {
                let session = ResumingClient(way, in: folder)
                let first = try session.begin(stage.port, as: client, options: options, saying: shop)
                #expect(first.isServed && !first.isReused, "\(first)")
                let allowed = try session.comeAgain(stage.port, as: client, options: options, saying: shop)
                #expect(allowed.isReused && allowed.isServed, "\(allowed)")
                let other = try session.comeAgain(
                    stage.port, as: client, options: options, saying: startup(user: "mallory"))
                #expect(other.isReused && !other.isServed, "\(other)")
            }
            #expect(await eventually(within: 20) { stage.refused(.userNotAllowed) == 2 }, "\(stage.refusalDetails)")
            #expect(server.count == 4)
            await stage.proxy.stop()
        }

        @Test(arguments: [ResumingClient.Way.pskOf13, .ticketOf12])
        func `cuts a live session that was resumed when its certificate is revoked`(
            way: ResumingClient.Way
        ) async throws {
            // Greets, and then stays.
            let backend = try TestBackend { socket, _ in
                socket.waitsForLong()
                try socket.send(Array(ResumingClient.answer.utf8))
                while try !socket.receive().isEmpty {}
            }
            let stage = try Self.stage(folder, backend)
            let client = try Stage.client.get()
            let session = ResumingClient(way, in: folder)
            let first = try session.stay(stage.port, as: client, keeps: true)
            try await first.waitForLine(containing: "served")
            try first.endInput()
            let second = try session.stay(stage.port, as: client)
            try await second.waitForLine(containing: "served")
            #expect(second.output.contains("Reused, TLSv1"), "\(second.output)")
            #expect(second.isRunning)
            try Self.put("crl", in: folder) {
                $0.number = 2
                $0.revoked = [client]
            }
            _ = try await second.waitForEnd()
            let isTold = await eventually(within: 20) {
                stage.events.named(.connectionClosed).contains {
                    $0.fields["reason"] == "revoked" && $0.fields["tls.resumed"] == true
                }
            }
            #expect(isTold)
            await stage.proxy.stop()
            await self.stage.proxy.stop()
        }

        @Test func `tells of it in events, status and metrics`() async throws {
            let client = try Stage.client.get()
            _ = try clients(as: client)
            let events = stage.events.named(.connectionAccepted)
            #expect(events.count == 6)
            #expect(events.map { $0.fields["tls.resumed"] == true } == [false, true, false, true, false, false])
            #expect(events.allSatisfy { $0.fields["peer.serial"] == events[0].fields["peer.serial"] })
            guard case .object(let members)? = stage.proxy.listeners.first?.document(isDraining: false) else {
                Issue.record("no status")
                return
            }
            #expect(members["session_resumption"] == ["enabled": true, "resumed": 2, "declined": 0])
            let metrics = stage.metrics.openMetricsText
            #expect(
                metrics.contains(#"nodeguard_proxy_session_tickets_total{listener="db",result="resumed"} 2"#),
                "\(metrics)")
            await stage.proxy.stop()
        }

        @Test func `does so only where it is told to`() async throws {
            let silent = try Stage([try Stage.listener(.tcp, backend: [backend.address])])
            let client = try Stage.client.get()
            for way in ResumingClient.Way.allCases {
                let session = ResumingClient(way, in: folder)
                let first = try session.begin(silent.port, as: client)
                #expect(first.isServed && !first.description.contains("TLS session ticket:"), "\(way): \(first)")
            }
            await silent.proxy.stop()
            await stage.proxy.stop()
        }
    }
}
