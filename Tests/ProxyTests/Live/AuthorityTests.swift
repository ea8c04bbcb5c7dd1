import Foundation
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Proxy

@Suite struct `An authority that ends` {
    private static let day: Int64 = 86_400

    private static func authority(
        _ name: String = "Root", validity: ClosedRange<Double> = -60...31_536_000
    ) throws -> Certificate {
        let issued = try Stage.authority.get().issue(
            name: name, usage: [], validity: validity, isAuthority: true, by: .itself)
        return try #require(try Certificate.parsePEM(try issued.certificatePEM).first)
    }

    private static func codes(_ health: HealthBoard) -> [String] {
        health.snapshot.reasons.map { "\($0.code) \($0.severity)" }
    }

    @Test(arguments: [(365, 30), (90, 30), (30, 10), (3, 1)] as [(Int64, Int64)])
    func `is spoken of for 30 days, or for the last third of a shorter life, and from its last second on`(
        life: Int64, notice: Int64
    ) {
        let (begin, end) = (1_000_000, 1_000_000 + life * Self.day)
        func stage(_ now: Int64) -> AuthorityAgeStateMachine.Stage {
            AuthorityAgeStateMachine.stage(at: now, from: Int64(begin), to: Int64(end))
        }
        #expect(stage(Int64(begin) - 1) == .fresh && stage(Int64(begin)) == .fresh)
        #expect(stage(Int64(end) - notice * Self.day - 1) == .fresh)
        #expect(stage(Int64(end) - notice * Self.day) == .late)
        #expect(stage(Int64(end)) == .late)
        #expect(stage(Int64(end) + 1) == .ended)
        #expect(stage(.max) == .ended && stage(.min) == .fresh)
    }

    @Test func `is a reason as time goes on, with its file, its end, who trusts it and what to do`() throws {
        let authority = try Self.authority()
        let health = HealthBoard(conditions: [])
        let reports = AuthorityReports(health: health)
        let trusted = [
            TrustedAuthority(certificate: authority, file: "/etc/ca.pem", user: "listener ysql", beside: [authority]),
            TrustedAuthority(certificate: authority, file: "/etc/ca.pem", user: "tunnel out", beside: [authority]),
        ]
        reports.looked(at: authority.notAfter - 30 * Self.day - 1) { trusted }
        #expect(Self.codes(health) == [])
        reports.looked(at: authority.notAfter - 30 * Self.day) { trusted }
        #expect(Self.codes(health) == ["AUTHORITY_EXPIRES_SOON warn"])
        let reason = try #require(health.snapshot.reasons.first)
        #expect(reason.subject == "authority \(authority)")
        let end = Timestamp(seconds: authority.notAfter)
        for word in ["CN=Root", "/etc/ca.pem", "trusted by listener ysql, tunnel out", "\(end)"] {
            #expect(reason.detail.contains(word), "\(reason.detail)")
        }
        #expect(reason.action.contains("its successor beside it into /etc/ca.pem"))
        reports.looked(at: authority.notAfter + 1) { trusted }
        #expect(Self.codes(health) == ["AUTHORITY_EXPIRED error"])
        #expect(health.snapshot.state == .degraded)
        // A clock that is set back.
        reports.looked(at: authority.notAfter) { trusted }
        #expect(Self.codes(health) == ["AUTHORITY_EXPIRES_SOON warn"])
        reports.looked(at: authority.notAfter) { [] }
        #expect(Self.codes(health) == [])
    }

    @Test func `of the cluster is to be replaced at the plane`() throws {
        let authority = try Self.authority()
        let health = HealthBoard(conditions: [])
        AuthorityReports(health: health).looked(at: authority.notAfter + 1) {
            [TrustedAuthority(certificate: authority, file: nil, user: "listener ysql", beside: [authority])]
        }
        let reason = try #require(health.snapshot.reasons.first)
        #expect(reason.code == "AUTHORITY_EXPIRED" && reason.detail.contains("of the cluster"))
        #expect(reason.action.contains("at the plane"))
    }

    @Test func `keeps the node ready beside a successor, wherever it is trusted`() throws {
        let old = try Self.authority()
        let successor = try Self.authority(validity: -60...630_720_000)
        let stranger = try Self.authority("Other", validity: -60...630_720_000)
        let health = HealthBoard(conditions: [])
        let reports = AuthorityReports(health: health)
        func use(_ user: String, beside: [Certificate]) -> TrustedAuthority {
            TrustedAuthority(certificate: old, file: "/etc/ca.pem", user: user, beside: beside)
        }
        for (now, severity) in [(old.notAfter, "EXPIRES_SOON"), (old.notAfter + 1, "EXPIRED")] {
            reports.looked(at: now) { [use("listener a", beside: [old, successor])] }
            #expect(Self.codes(health) == ["AUTHORITY_\(severity) info"])
            #expect(health.snapshot.reasons.first?.action.contains("take it out of /etc/ca.pem") == true)
            #expect(health.snapshot.state == .ready)
            reports.looked(at: now) { [use("listener a", beside: [old, stranger])] }
            #expect(health.snapshot.state == .degraded, "another name is no successor")
            reports.looked(at: now) {
                [use("listener a", beside: [old, successor]), use("listener b", beside: [old])]
            }
            #expect(health.snapshot.state == .degraded, "one of the two has none")
        }
        reports.looked(at: successor.notAfter + 1) { [use("listener a", beside: [old, successor])] }
        #expect(health.snapshot.state == .degraded, "the successor has ended, too")
    }
}

extension LiveTests {
    @Suite(.timeLimit(.minutes(3))) struct `The end of an authority` {
        private static func codes(_ stage: Stage, about name: String) -> [String] {
            stage.health.snapshot.reasons.filter { $0.subject.contains("CN=\(name)") }.map(\.code).sorted()
        }

        private static func authority(_ name: String, _ validity: ClosedRange<Double>) throws -> Certificate {
            let issued = try Stage.authority.get().issue(
                name: name, usage: [], validity: validity, isAuthority: true, by: .itself)
            return try #require(try Certificate.parsePEM(try issued.certificatePEM).first)
        }

        @Test func `is told of the clients' side, the database's and a tunnel's, with each change and with time`()
            async throws
        {
            let backend = try TestBackend.echo()
            let (ofClients, ofBackend, ofTunnel) = (
                try Self.authority("Clients", -864_000...3600), try Self.authority("Backend", -864_000...3600),
                try Self.authority("Remote", -864_000...3600)
            )
            let listener = try Stage.listener(.tcp, backend: [backend.address]) {
                $0.anchors = [ofClients]
                $0.anchorFiles = [ofClients: "/etc/clients.pem"]
                $0.backendTLS = BackendTLS(
                    .verify, name: "localhost",
                    trust: ListenerTrust(
                        trustsCluster: false, anchors: [ofBackend], files: [ofBackend: "/etc/backend.pem"]))
            }
            let tunnel = try Stage.tunnel(.tcp, to: "127.0.0.1:1") {
                $0.trustsCluster = false
                $0.anchors = [ofTunnel]
                $0.anchorFiles = [ofTunnel: "/etc/remote.pem"]
            }
            let stage = try Stage([listener, tunnel])
            for (name, words) in [
                ("Clients", ["/etc/clients.pem", "listener db"]), ("Remote", ["/etc/remote.pem", "tunnel out"]),
                ("Backend", ["/etc/backend.pem", "the database's side of listener db"]),
            ] {
                #expect(Self.codes(stage, about: name) == ["AUTHORITY_EXPIRES_SOON"])
                let detail = stage.health.snapshot.reasons.first { $0.subject.contains("CN=\(name)") }?.detail ?? ""
                #expect(words.allSatisfy(detail.contains), "\(detail)")
            }
            // One that lives on, and one that has three more seconds.
            let short = try Self.authority("Short", -864_000...3)
            var change = ProxyChange()
            change.trust["db"] = ListenerTrust(trustsCluster: true, anchors: [short], files: [short: "/etc/s.pem"])
            change.trust["out"] = ListenerTrust(trustsCluster: true, anchors: [])
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(Self.codes(stage, about: "Clients") == [] && Self.codes(stage, about: "Remote") == [])
            #expect(Self.codes(stage, about: "Backend") == ["AUTHORITY_EXPIRES_SOON"])
            #expect(await eventually(within: 30) { Self.codes(stage, about: "Short") == ["AUTHORITY_EXPIRED"] })
            change.trust["db"] = ListenerTrust(trustsCluster: true, anchors: [])
            #expect(stage.proxy.adopt(try stage.proxy.test(change)))
            #expect(Self.codes(stage, about: "Short") == [])
            await stage.proxy.stop()
        }

        @Test func `of the cluster's own is told as soon as it is published, once for all who trust it`() async throws {
            let backend = try TestBackend.echo()
            let stage = try Stage([
                try Stage.listener(.tcp, backend: [backend.address], name: "one"),
                try Stage.listener(.tcp, backend: [backend.address], name: "two"),
            ])
            let ending = try Self.authority("Cluster", -864_000...3600)
            stage.proxy.publish(trust: try TrustAnchors([ending], pinsIntermediates: false))
            #expect(Self.codes(stage, about: "Cluster") == ["AUTHORITY_EXPIRES_SOON"])
            let reason = stage.health.snapshot.reasons.first { $0.subject.contains("CN=Cluster") }
            #expect(reason?.detail.contains("of the cluster, trusted by listener one, listener two") == true)
            stage.proxy.publish(trust: try TrustAnchors(pem: try Stage.authority.get().root.certificatePEM))
            #expect(Self.codes(stage, about: "Cluster") == [])
            await stage.proxy.stop()
        }
    }
}
