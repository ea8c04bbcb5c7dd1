import Foundation
import IO
import OpenSSL
import TestSupport

/// From the arrival of a new CRL or deny list, which is the rename of the file, to the end of each session that it
/// concerns, while the others stay: half of the sessions are revoked, then the other half are denied. And from a
/// revocation at the plane, which is the start of its command, to the end of half of the sessions.
struct RevocationBenchmark {
    private static let patience = Duration.seconds(120)
    private static let shortPause = Duration.milliseconds(5)
    private static let gatheringWidth = 16
    /// p99, in milliseconds.
    private static let limit = 1000.0

    private let program: String
    private let plane: String
    private let sessions: Int
    private let backend: EchoBackend
    private let client = LoadClient()
    private let scenery: Scenery
    private let clients: [TestIdentity]
    private let contexts: [TLSContext]
    private let alarm = Alarm(label: "revocation")

    /// `plane`: nodeguard-plane.
    init(nodeguard: String, plane: String, isQuick: Bool) throws {
        program = nodeguard
        self.plane = plane
        sessions = isQuick ? 500 : 5000
        backend = try EchoBackend()
        let scenery = try Scenery(backend: backend.address)
        self.scenery = scenery
        clients = try scenery.authority.clients(isQuick ? 10 : 100, name: Scenery.clientName)
        contexts = try clients.map {
            try TLSContext.client(identity: $0.tlsIdentity(), trust: nil, serverName: nil, minimum: .tls13)
        }
        backend.start()
        client.start()
    }

    static func marks(_ results: Results) -> [Mark] {
        results.keys.filter { $0.work.hasPrefix(work) && $0.metric.name == "p99" }.compactMap { key in
            guard let measured = results.values(key, "nodeguard")?.median else { return nil }
            return Mark(name: key.work, limit: limit, measured: measured, holds: measured < limit)
        }
    }

    private static let work = "news to the cut"

    func run(round: Int, into results: inout Results) async throws {
        let folder = scenery.folder
        let file = "crl-\(round).pem"
        try folder.write(try list([], 1), to: file)
        try folder.write("", to: "denied-\(round)")
        let subject = try scenery.startNodeguard(
            program, round: 1000 + round,
            listener: """
                crl: ["file:\(folder.file(file))"]
                      crl-check: leaf
                      deny-list: \(folder.file("denied-\(round)"))
                """)
        try await gather(subject, contexts)
        let half = clients.count / 2
        let revoked = try list(Array(clients[..<half]), 2)
        try await measure("a CRL", of: sessions / 2, into: &results) {
            try Files.write(revoked, to: folder.file(file), mode: 0o600)
        }
        let denied = try clients[half...].map { identity in
            let leaf = try identity.certificate()
            return "serial \(leaf.serial) \(leaf.issuer)\n"
        }
        try await measure("a deny list", of: sessions / 2, into: &results) {
            try Files.write(Array(denied.joined().utf8), to: folder.file("denied-\(round)"), mode: 0o600)
        }
        try await end(subject)
        try await runPlane(round: round, into: &results)
    }

    /// Clients first: the subject would wait for them.
    private func end(_ subject: Subject) async throws {
        await client.end()
        let deadline = ContinuousClock.now + Self.patience
        while client.progress.open.value > 0 { try await pause(until: deadline, subject) }
        subject.process?.signal(SIGTERM)
        _ = try await subject.process?.waitForEnd(within: 20)
        _ = await client.takeEndings()
    }

    private func runPlane(round: Int, into results: inout Results) async throws {
        let fleet = try await PlaneOfBenchmark(plane, in: scenery.folder.file("plane-\(round)"))
        let identities = [try fleet.client("revoked"), try fleet.client("other")]
        let subject = try fleet.startNodeguard(program, backend: backend.address)
        let contexts = try identities.map {
            try TLSContext.client(identity: $0, trust: nil, serverName: nil, minimum: .tls13)
        }
        try await gather(subject, contexts)
        try await measure("a revocation at the plane", of: sessions / 2, into: &results) {
            try fleet.verb("revoke", identities[0].leaf.serial)
        }
        try await end(subject)
        try await fleet.end()
    }

    private func list(_ revoked: [TestIdentity], _ number: Int) throws -> [UInt8] {
        try scenery.authority.revocationList {
            $0.revoked = revoked
            $0.number = number
        }
    }

    /// As many sessions of each client.
    private func gather(_ subject: Subject, _ contexts: [TLSContext]) async throws {
        let deadline = ContinuousClock.now + Self.patience
        for (index, context) in contexts.enumerated() {
            let wanted = client.progress.open.value + sessions / contexts.count
            while client.progress.open.value < wanted {
                let before = (client.progress.operations.value, client.progress.open.value)
                let missing = wanted - before.1
                await client.begin(
                    LoadOrder(
                        script: .waitForEnd, address: subject.address, contexts: [context],
                        width: index == 0 ? 1 : Self.gatheringWidth, total: missing))
                while client.progress.operations.value < before.0 + missing {
                    // At first the subject may not listen yet.
                    if client.progress.takeFailure() != nil { break }
                    try await pause(until: deadline, subject)
                }
                try await pause(until: deadline, subject)
            }
        }
    }

    private func pause(until deadline: ContinuousClock.Instant, _ subject: Subject) async throws {
        guard ContinuousClock.now < deadline, subject.process?.isRunning == true else {
            throw BenchmarkError("\(subject.name) does not serve\n\(subject.process?.errors ?? "")")
        }
        _ = await alarm.wait(for: Self.shortPause)
    }

    private func measure(
        _ news: String, of count: Int, into results: inout Results, _ arrive: () throws -> Void
    ) async throws {
        let (ended, open) = (client.progress.ended.value, client.progress.open.value)
        let began = ContinuousClock.now
        try arrive()
        while client.progress.ended.value < ended + count {
            guard ContinuousClock.now - began < Self.patience else {
                throw BenchmarkError("\(news) ended \(client.progress.ended.value - ended) of \(count) sessions")
            }
            _ = await alarm.wait(for: Self.shortPause)
        }
        // The others stay.
        _ = await alarm.wait(for: .milliseconds(500))
        guard client.progress.open.value == open - count else {
            throw BenchmarkError("\(news) left \(client.progress.open.value) of \(open - count) sessions")
        }
        let waits = await client.takeEndings().map { ($0 - began) / .milliseconds(1) }.sorted()
        guard let last = waits.last else { return }
        let name = "\(Self.work), \(news), \(sessions) sessions"
        results.add(name, Metric(name: "p50", unit: "ms"), "nodeguard", waits[waits.count / 2])
        results.add(
            name, Metric(name: "p99", unit: "ms"), "nodeguard", waits[min(waits.count - 1, waits.count * 99 / 100)])
        results.add(name, Metric(name: "last", unit: "ms"), "nodeguard", last)
    }
}
