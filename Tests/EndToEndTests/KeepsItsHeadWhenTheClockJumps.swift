import Foundation
import Testing

/// Long pauses belong to it: the agent looks at the wall clock every 30 seconds.
private let takesItsTime = ProcessInfo.processInfo.environment["NODEGUARD_TESTS"] == "all"

/// The wall clock of programs under test, which can be set while they run (faketime(1)). Clocks that nobody can set go
/// on as they are: what jumps is a clock that was set, or a machine that slept.
private final class WallClock: Sendable {
    private static let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
    private let path: String
    private let before: Set<String>

    init(in folder: String) throws {
        before = Self.shared
        path = folder + "/clock"
        try jump("+0")
        try #require(FileManager.default.fileExists(atPath: Self.library), "apt-get install libfaketime")
    }

    deinit {
        for name in Self.shared.subtracting(before) { try? FileManager.default.removeItem(atPath: "/dev/shm/" + name) }
    }

    /// Of each process that the library is in there is a piece of memory and a semaphore, also when it was killed.
    private static var shared: Set<String> {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/shm")) ?? []
        return Set(names.filter { $0.hasPrefix("faketime_shm_") || $0.hasPrefix("sem.faketime_sem_") })
    }

    /// `offset`: from the real time, as `+10y`.
    func jump(_ offset: String) throws { try offset.write(toFile: path, atomically: true, encoding: .utf8) }

    /// Marks of files stay real: they are compared, and never with the clock. Where nothing is named that processes
    /// share, the library puts a name into the environment before `main`, which moves it away from behind the
    /// arguments, where Swift looks for them.
    var environment: [String: String] {
        [
            "LD_PRELOAD": Self.library, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_RESET": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1", "FAKETIME_SHARED": "none none",
        ]
    }
}

@Suite(.serialized) struct `When the clock jumps` {
    /// A listener whose certificate is the plane's, which looks into its CRLs, and one whose certificate is a file; a
    /// desired state is applied.
    private func fleet() async throws -> (Fleet, WallClock, files: Int) {
        let fleet = try await Fleet(lifetime: 86_400, start: false)
        let clock = try WallClock(in: fleet.folder)
        try fleet.clientCertificate("desk", uri: "spiffe://\(Fleet.cluster)/app/desk")
        let port = try freePort()
        let made = try Program.shell(
            """
            mkdir \(fleet.folder)/own && cd \(fleet.folder)/own &&
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                -keyout key.pem -out chain.pem \
                -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext extendedKeyUsage=serverAuth \
                -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature
            """)
        try #require(made.status == 0, "\(made)")
        let own = """
                - name: own
                  listen: ["127.0.0.1:\(port)"]
                  protocol: postgres
                  backend: 127.0.0.1:\(fleet.postgres.port)
                  certificate: own
                  trust: [cluster]
                  allow: [ { uri: "spiffe://\(Fleet.cluster)/app/*" } ]
            backups:
            """
        let role = "{ name: own, files: { chain: \(fleet.folder)/own/chain.pem, key: \(fleet.folder)/own/key.pem } }"
        try fleet.configuration.replacing("\nbackups:", with: "\n" + own)
            .replacing("usage: [server, client] } ]", with: "usage: [server, client] }, \(role) ]")
            .replacing("trust: [cluster]\n      allow", with: "trust: [cluster]\n      crl: [cluster]\n      allow")
            .write(toFile: fleet.configPath, atomically: true, encoding: .utf8)
        return (fleet, clock, port)
    }

    private func start(_ fleet: Fleet, _ clock: WallClock) async throws {
        try fleet.startAgent(environment: clock.environment)
        try await fleet.waitUntilReady()
        try #"{"deny":[{"uri":"spiffe://cluster-a/app/desk"}]}"#
            .write(toFile: fleet.folder + "/desired.json", atomically: true, encoding: .utf8)
        try fleet.command(["desired", "set", fleet.folder + "/desired.json", "--cluster", Fleet.cluster])
        let isApplied = await eventually(within: 60) { [self] in
            (try? fleet.psql("select 1", as: "desk").errors.contains("denied")) == true && isServed(fleet)
        }
        try #require(isApplied, "\(fleet.agent.log)")
    }

    private func isServed(_ fleet: Fleet, environment: [String: String] = [:]) -> Bool {
        let outcome = try? Program.run(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: "shop"), "-c", "select 1"], environment: environment)
        return outcome?.output == "1\n"
    }

    /// The port whose certificate is a file, of which the cluster's clients know nothing.
    private func isServed(_ fleet: Fleet, files port: Int) -> Bool {
        let connection = fleet.connection(as: "shop", "sslmode=require")
            .replacing("port=\(fleet.listenPort)", with: "port=\(port)")
            .replacing("sslrootcert=\(fleet.folder)/trust.pem", with: "sslrootcert=/nonexistent")
        return (try? Program.run("/usr/bin/psql", ["-XAtq", "-d", connection, "-c", "select 1"]).output) == "1\n"
    }

    private func codes(_ fleet: Fleet) -> Set<String> {
        let reasons = ((try? fleet.status())?["reasons"] as? [[String: Any]]) ?? []
        return Set(reasons.compactMap { $0["code"] as? String })
    }

    private func waits(_ fleet: Fleet, within seconds: Double = 150, for codes: Set<String>) async throws {
        let came = await eventually(within: seconds) { [self] in self.codes(fleet).isSuperset(of: codes) }
        try #require(came, "not \(codes): \(self.codes(fleet))\n\(fleet.agent.log)")
    }

    /// Certificates, authorities, CRLs and desired state on the disk, and what was put aside.
    private func kept(_ fleet: Fleet) throws -> Set<String> {
        let found = try Program.shell(
            """
            cd \(fleet.folder)/node &&
            find certificates trust revocation desired quarantine -type f -o -type l 2>/dev/null | grep -v /request/ |
                sort
            """)
        return Set(found.lines.map(String.init))
    }

    private func heals(_ fleet: Fleet, _ clock: WallClock, files port: Int) async throws {
        try clock.jump("+0")
        let bad: Set = [
            "CERTIFICATE_EXPIRED", "CLOCK_SKEW", "CLOCK_SKEW_REFUSED", "CRL_EXPIRED", "CRL_REFUSED",
            "DESIRED_STATE_EXPIRED", "DESIRED_STATE_REFUSED", "CERTIFICATE_ISSUE_LIMIT", "CERTIFICATE_REJECTED",
        ]
        let isWell = await eventually(within: 240) { [self] in
            codes(fleet).isDisjoint(with: bad) && isServed(fleet) && isServed(fleet, files: port)
        }
        try #require(isWell, "\(codes(fleet))\n\(fleet.agent.log)")
        #expect(fleet.httpStatus("/readyz") == "200")
        #expect(try fleet.psql("select 1", as: "desk").errors.contains("denied"), "what was desired is applied")
    }

    @Test(.enabled(if: takesItsTime), arguments: ["+10y", "-10y"])
    func `by ten years nothing is thrown away, nobody is asked in a loop, and all is well when it is right again`(
        offset: String
    ) async throws {
        let (fleet, clock, port) = try await fleet()
        try await start(fleet, clock)
        #expect(isServed(fleet, files: port))
        let live = try Program(
            "/usr/bin/psql", ["-XAtq", "-d", fleet.connection(as: "shop"), "-c", "select pg_sleep(600)"],
            log: fleet.folder + "/live.log")
        let isLive = await eventually(within: 20) {
            (try? fleet.nodeguard(["connections"]).output.contains("shop")) == true
        }
        #expect(isLive, "\(live.log)")
        let before = try kept(fleet)
        try clock.jump(offset)
        let isRefused = await eventually(within: 120) { [self] in !isServed(fleet) && !isServed(fleet, files: port) }
        #expect(isRefused, "clients' certificates do not count at such a time")
        if offset.hasPrefix("+") {
            try await waits(fleet, for: ["CERTIFICATE_EXPIRED", "DESIRED_STATE_EXPIRED", "CRL_EXPIRED"])
            #expect(fleet.httpStatus("/readyz") == "503")
            let ended = await live.waitForExit(within: 90)
            #expect(ended != nil, "the certificate of a live session has ended")
        }
        #expect(fleet.agent.isRunning)
        #expect(try kept(fleet) == before, "nothing is new, and nothing is gone")
        try await heals(fleet, clock, files: port)
        let after = try kept(fleet)
        #expect(after.isSuperset(of: before.filter { !$0.hasPrefix("certificates/") }))
        #expect(!after.contains { $0.hasPrefix("quarantine") })
        // A renewal or two may have been due; a loop would have met its limit.
        func chains(_ files: Set<String>) -> Int { files.count { $0.hasSuffix("chain.pem") } }
        #expect(chains(after) - chains(before) <= 2, "\(after)")
        live.kill()
        let verdict = try fleet.auditVerdict()
        #expect(verdict.status == 0, "\(verdict)")
        fleet.agent.stop()
    }

    /// The monotonic clock stood still, everybody else's wall clock went on: plane and clients are in the new time.
    @Test func `by three days in which the machine slept it renews what has ended, once`() async throws {
        let (fleet, clock, _) = try await fleet()
        try await fleet.restartPlane(environment: clock.environment)
        try await start(fleet, clock)
        let before = try kept(fleet)
        try clock.jump("+3d")
        let environment = clock.environment
        let isRenewed = await eventually(within: 150) { [self] in isServed(fleet, environment: environment) }
        #expect(isRenewed, "\(codes(fleet))\n\(fleet.agent.log)")
        let made = try kept(fleet).subtracting(before).filter { $0.hasPrefix("certificates/database/g") }
        #expect(Set(made.map { $0.split(separator: "/")[2] }).count == 1, "one certificate, once: \(made)")
        let isReady = await eventually(within: 60) { fleet.httpStatus("/readyz") != nil }
        #expect(isReady && !codes(fleet).contains("CERTIFICATE_ISSUE_LIMIT"))
        fleet.agent.stop()
    }
}
