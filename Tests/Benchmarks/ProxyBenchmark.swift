import IO
import OpenSSL
import TestSupport

/// Clients → subject → echo backend, all on this machine. In each round every subject is started afresh, and each work
/// is done with one subject after the other, the other way round in every second round.
struct ProxyBenchmark {
    let programs: (nodeguard: String, haproxy: String)
    let extent: Extent
    let works: [Work]
    private let backend: EchoBackend
    private let client = LoadClient()
    private let scenery: Scenery
    private let context: TLSContext
    private let alarm = Alarm(label: "benchmark")

    private static let patience = Duration.seconds(20)
    private static let shortPause = Duration.milliseconds(10)
    /// Connections on their way while idle ones are gathered.
    private static let gatheringWidth = 16

    init(nodeguard: String, haproxy: String, extent: Extent, works: [Work]) throws {
        programs = (nodeguard, haproxy)
        self.extent = extent
        self.works = works
        backend = try EchoBackend()
        scenery = try Scenery(backend: backend.address)
        // Checking the subject's certificate is the client's cost, and not what is measured.
        context = try TLSContext.client(
            identity: scenery.client.tlsIdentity(), trust: nil, serverName: nil, minimum: .tls13)
        backend.start()
        client.start()
    }

    func run(round: Int, into results: inout Results) async throws {
        let subjects = [
            try scenery.startNodeguard(programs.nodeguard, round: round), try scenery.startHAProxy(programs.haproxy),
        ]
        for subject in subjects { try await becomeReady(subject) }
        for subject in subjects { try await measureMemory(subject, into: &results) }
        let all = subjects + [scenery.direct()]
        for work in works {
            for subject in round.isMultiple(of: 2) ? all : all.reversed() {
                let sample = try await measure(work, subject)
                sample.add(to: &results, work, subject.name)
            }
        }
        for subject in subjects { try await end(subject) }
    }

    // MARK: one work

    private func order(_ script: Script, _ subject: Subject, width: Int, total: Int) -> LoadOrder {
        LoadOrder(
            script: script, address: subject.address, context: subject.process == nil ? nil : context, width: width,
            total: total)
    }

    private func measure(_ work: Work, _ subject: Subject) async throws -> LoadSample {
        await client.begin(
            order(work.script, subject, width: work.width, total: work.script == .visits ? .max : work.width))
        let bytesAtFirst = bytes(work.script)
        let operationsAtFirst = client.progress.operations.value
        try await wait(for: "the first answer of \(subject.name)") {
            client.progress.operations.value > operationsAtFirst || bytes(work.script) > bytesAtFirst
        }
        _ = await alarm.wait(for: extent.warmUp)
        _ = await client.takeLatencies()
        let before = Reading(client.progress.operations.value, bytes(work.script), subject)
        _ = await alarm.wait(for: extent.window)
        let after = Reading(client.progress.operations.value, bytes(work.script), subject)
        let latencies = await client.takeLatencies()
        try await endLoad(on: subject)
        return after.since(before, latencies)
    }

    /// Where the bytes arrive, decrypted.
    private func bytes(_ script: Script) -> Int {
        script == .upload ? backend.tally.swallowedBytes.value : client.progress.bytesReceived.value
    }

    private func endLoad(on subject: Subject) async throws {
        await client.end()
        try await wait(for: "the end of all connections through \(subject.name)") {
            client.progress.open.value == 0 && backend.tally.guests.value == 0
        }
    }

    // MARK: memory

    /// The slope between some and many connections: what the first ones bring for good is not counted.
    private func measureMemory(_ subject: Subject, into results: inout Results) async throws {
        guard let process = subject.processIdentifier else { return }
        let idle = try ProcessUsage.memory(process)
        results.add("idle daemon", "resident", "MiB", subject.name, idle.residentKiB / 1024)
        results.add("idle daemon", "proportional", "MiB", subject.name, idle.proportionalKiB / 1024)
        let some = extent.idleConnections / 5
        let memoryOfSome = try await memory(subject, process, whileHolding: some, more: some)
        let memoryOfAll = try await memory(
            subject, process, whileHolding: extent.idleConnections, more: extent.idleConnections - some)
        let count = Double(extent.idleConnections - some)
        results.add(
            "idle connection", "resident", "KiB", subject.name,
            (memoryOfAll.residentKiB - memoryOfSome.residentKiB) / count)
        results.add(
            "idle connection", "proportional", "KiB", subject.name,
            (memoryOfAll.proportionalKiB - memoryOfSome.proportionalKiB) / count)
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
        return try ProcessUsage.memory(process)
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
        _ = try await process.waitForEnd(within: 10)
    }

    private func wait(for what: String, _ condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + Self.patience
        while !condition() {
            if let failure = client.progress.takeFailure() { throw BenchmarkError("\(what): \(failure)") }
            guard ContinuousClock.now < deadline else { throw BenchmarkError("\(what) did not come in time") }
            _ = await alarm.wait(for: Self.shortPause)
        }
        if let failure = client.progress.takeFailure() { throw BenchmarkError("\(what): \(failure)") }
    }
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
    private let subjectCPU: Double?
    private let generatorCPU = ProcessUsage.ownCPUSeconds

    init(_ operations: Int, _ bytes: Int, _ subject: Subject) {
        self.operations = operations
        self.bytes = bytes
        subjectCPU = subject.processIdentifier.flatMap(ProcessUsage.cpuSeconds)
    }

    func since(_ before: Reading, _ latencies: [UInt32]) -> LoadSample {
        let subjectCPU = subjectCPU.flatMap { now in before.subjectCPU.map { now - $0 } }
        return LoadSample(
            seconds: (time - before.time) / .seconds(1), operations: operations - before.operations,
            bytes: bytes - before.bytes, subjectCPU: subjectCPU, generatorCPU: generatorCPU - before.generatorCPU,
            latencies: latencies)
    }
}
