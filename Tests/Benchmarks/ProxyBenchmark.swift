import IO
import OpenSSL
import TestSupport

/// Clients → subject → echo backend, all on this machine. In each round every subject is started afresh, and each work
/// is done with one subject after the other, the other way round in every second round.
struct ProxyBenchmark {
    let nodeguard: String
    let extent: Extent
    let works: [Work]
    private let backend: EchoBackend
    private let client = LoadClient()
    private let storm = LoadClient(label: "storm")
    private let scenery: Scenery
    private let context: TLSContext
    /// Of clients that differ in their serial number alone.
    private let contexts: [TLSContext]
    private let alarm = Alarm(label: "benchmark")

    private static let patience = Duration.seconds(20)
    private static let shortPause = Duration.milliseconds(10)
    /// Connections on their way while idle ones are gathered.
    private static let gatheringWidth = 16

    init(nodeguard: String, extent: Extent, works: [Work]) throws {
        self.nodeguard = nodeguard
        self.extent = extent
        self.works = works
        backend = try EchoBackend()
        scenery = try Scenery(backend: backend.address)
        context = try Self.context(scenery.client)
        let count = works.contains { $0.kind == .newChains } ? extent.chains : 0
        contexts = try scenery.authority.clients(count, name: Scenery.clientName).map(Self.context)
        backend.start()
        client.start()
        storm.start()
    }

    /// Checking the subject's certificate is the client's cost, and not what is measured.
    private static func context(_ identity: TestIdentity) throws -> TLSContext {
        try TLSContext.client(identity: identity.tlsIdentity(), trust: nil, serverName: nil, minimum: .tls13)
    }

    func run(round: Int, into results: inout Results) async throws {
        var subjects = [try scenery.startNodeguard(nodeguard, round: round)]
        for tuning in HAProxyTuning.all { subjects.append(try scenery.startHAProxy(tuning)) }
        subjects += [try scenery.startNginx(), try scenery.startHitch(), try scenery.startStunnel()]
        subjects = subjects.filter { subject in subject.does(.memory) || works.contains { subject.does($0.kind) } }
        for subject in subjects { try await becomeReady(subject) }
        for subject in subjects where subject.does(.memory) { try await measureMemory(subject, into: &results) }
        let all = subjects + [scenery.direct()]
        for work in works {
            for subject in round.isMultiple(of: 2) ? all : all.reversed() where subject.does(work.kind) {
                let sample = try await measure(work, subject)
                sample.add(to: &results, work, subject.name)
            }
        }
        for subject in subjects { try await end(subject) }
    }

    // MARK: one work

    private func order(
        _ script: Script, _ subject: Subject, width: Int, total: Int, withNewChains: Bool = false
    ) -> LoadOrder {
        LoadOrder(
            script: script, address: subject.address,
            contexts: subject.process == nil ? [] : withNewChains ? contexts : [context], width: width, total: total)
    }

    private func measure(_ work: Work, _ subject: Subject) async throws -> LoadSample {
        await client.begin(
            order(
                work.script, subject, width: work.width, total: work.script == .visits ? .max : work.width,
                withNewChains: work.kind == .newChains))
        let bytesAtFirst = bytes(work.script)
        let operationsAtFirst = client.progress.operations.value
        try await wait(for: "the first answer of \(subject.name)") {
            client.progress.operations.value > operationsAtFirst || bytes(work.script) > bytesAtFirst
        }
        if work.storm > 0 { await storm.begin(order(.visits, subject, width: work.storm, total: .max)) }
        _ = await alarm.wait(for: extent.warmUp)
        _ = await client.takeLatencies()
        let before = reading(work, subject)
        _ = await alarm.wait(for: extent.window)
        let after = reading(work, subject)
        let latencies = await client.takeLatencies()
        await storm.end()
        try await endLoad(on: subject)
        return after.since(before, latencies)
    }

    private func reading(_ work: Work, _ subject: Subject) -> Reading {
        Reading(
            client.progress.operations.value, bytes(work.script), subject,
            storm: work.storm > 0 ? storm.progress.operations.value : nil)
    }

    /// Where the bytes arrive, decrypted.
    private func bytes(_ script: Script) -> Int {
        script == .upload ? backend.tally.swallowedBytes.value : client.progress.bytesReceived.value
    }

    private func endLoad(on subject: Subject) async throws {
        await client.end()
        try await wait(for: "the end of all connections through \(subject.name)") {
            client.progress.open.value == 0 && storm.progress.open.value == 0 && backend.tally.guests.value == 0
        }
    }

    // MARK: memory

    /// The slope between some and many connections: what the first ones bring for good is not counted.
    private func measureMemory(_ subject: Subject, into results: inout Results) async throws {
        guard let process = subject.processIdentifier else { return }
        let idle = try ProcessUsage.memory(ofFamily: process)
        results.add("idle daemon", .residentMiB, subject.name, idle.residentKiB / 1024)
        let some = extent.idleConnections / 5
        let memoryOfSome = try await memory(subject, process, whileHolding: some, more: some)
        let memoryOfAll = try await memory(
            subject, process, whileHolding: extent.idleConnections, more: extent.idleConnections - some)
        let count = Double(extent.idleConnections - some)
        results.add(
            "idle connection", .residentKiB, subject.name,
            (memoryOfAll.residentKiB - memoryOfSome.residentKiB) / count)
        try await endLoad(on: subject)
    }

    private func memory(
        _ subject: Subject, _ process: Int32, whileHolding count: Int, more: Int
    ) async throws -> ProcessUsage.Memory {
        let before = client.progress.operations.value
        await client.begin(order(.hold, subject, width: Self.gatheringWidth, total: more))
        try await wait(for: "\(count) connections through \(subject.name)") {
            client.progress.operations.value >= before + more
        }
        _ = await alarm.wait(for: extent.warmUp)
        return try ProcessUsage.memory(ofFamily: process)
    }

    // MARK: life of a subject

    /// Until a whole connection through it succeeds.
    private func becomeReady(_ subject: Subject) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while true {
            let before = client.progress.operations.value
            await client.begin(order(.hold, subject, width: 1, total: 1))
            while client.progress.open.value > 0, client.progress.operations.value == before {
                _ = await alarm.wait(for: Self.shortPause)
            }
            await client.end()
            if client.progress.operations.value > before { return try await endLoad(on: subject) }
            let failure = client.progress.takeFailure() ?? ""
            guard ContinuousClock.now < deadline, subject.process?.isRunning == true else {
                throw BenchmarkError("\(subject.name) does not serve: \(failure)\n\(subject.process?.errors ?? "")")
            }
            _ = await alarm.wait(for: Self.shortPause)
        }
    }

    private func end(_ subject: Subject) async throws {
        guard let process = subject.process else { return }
        process.signal(15)
        do { _ = try await process.waitForEnd(within: 10) } catch {
            throw BenchmarkError("\(subject.name) does not end: \(error)")
        }
    }

    private func wait(for what: String, _ condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while !condition() {
            if let failure { throw BenchmarkError("\(what): \(failure)") }
            guard ContinuousClock.now < deadline else { throw BenchmarkError("\(what) did not come in time") }
            _ = await alarm.wait(for: Self.shortPause)
        }
        if let failure { throw BenchmarkError("\(what): \(failure)") }
    }

    private var failure: String? { client.progress.takeFailure() ?? storm.progress.takeFailure() }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// All counters at one moment.
private struct Reading {
    private let time = ContinuousClock.now
    private let operations: Int
    private let bytes: Int
    private let storm: Int?
    private let subjectCPU: Double?
    private let generatorCPU = ProcessUsage.ownCPUSeconds

    init(_ operations: Int, _ bytes: Int, _ subject: Subject, storm: Int?) {
        self.operations = operations
        self.bytes = bytes
        self.storm = storm
        subjectCPU = subject.processIdentifier.flatMap(ProcessUsage.cpuSeconds(ofFamily:))
    }

    func since(_ before: Reading, _ latencies: [UInt32]) -> LoadSample {
        let subjectCPU = subjectCPU.flatMap { now in before.subjectCPU.map { now - $0 } }
        return LoadSample(
            seconds: (time - before.time) / .seconds(1), operations: operations - before.operations,
            bytes: bytes - before.bytes, subjectCPU: subjectCPU, generatorCPU: generatorCPU - before.generatorCPU,
            latencies: latencies, stormOperations: storm.map { $0 - (before.storm ?? 0) })
    }
}
