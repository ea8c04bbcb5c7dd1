/// Something that subjects are made to do.
struct Work: Sendable {
    enum Kind: Sendable {
        case memory, handshakes, newChains, requests, bulk, storm

        /// Whether it says something about clients and backend alone.
        var isPossibleDirectly: Bool { self != .memory && self != .newChains && self != .storm }
    }

    let name: String
    let kind: Kind
    let script: Script
    let width: Int
    /// Connections that shake hands beside it, from another thread.
    var storm = 0

    static let proxy = [
        Work(name: "full handshakes, 8 at a time", kind: .handshakes, script: .visits, width: 8),
        Work(name: "handshakes with new chains", kind: .newChains, script: .visits, width: 8),
        Work(name: "256 B requests, 1 connection", kind: .requests, script: .exchanges, width: 1),
        Work(name: "256 B requests, 8 connections", kind: .requests, script: .exchanges, width: 8),
        Work(name: "256 B requests, 64 connections", kind: .requests, script: .exchanges, width: 64),
        Work(name: "bulk up, 2 connections", kind: .bulk, script: .upload, width: 2),
        Work(name: "bulk down, 2 connections", kind: .bulk, script: .download, width: 2),
        Work(name: "8 connections in a storm", kind: .storm, script: .exchanges, width: 8, storm: 16),
    ]
}

/// How long and how much.
struct Extent: Sendable {
    let warmUp: Duration
    let window: Duration
    let idleConnections: Int
    /// Client certificates that differ: more than a window has handshakes.
    let chains: Int
    /// Held by nodeguard alone.
    let crowd: Int
    let stalled: Int
    let sealedMiB: Int
    let opensslSeconds: Int
    let pgbenchSeconds: Int

    static let full = Extent(
        warmUp: .milliseconds(300), window: .seconds(2), idleConnections: 1000, chains: 3000, crowd: 9000,
        stalled: 2000, sealedMiB: 2048,
        opensslSeconds: 2, pgbenchSeconds: 4)
    /// Proves that everything still runs; its figures mean little.
    static let quick = Extent(
        warmUp: .milliseconds(50), window: .milliseconds(250), idleConnections: 100, chains: 100, crowd: 500,
        stalled: 100, sealedMiB: 128,
        opensslSeconds: 1, pgbenchSeconds: 1)
}

/// What one window of load came to.
struct LoadSample {
    let seconds: Double
    let operations: Int
    let bytes: Int
    /// nil where there is no process between client and backend.
    let subjectCPU: Double?
    let generatorCPU: Double
    let latencies: [UInt32]
    /// Handshakes of the storm beside it.
    var stormOperations: Int?
}

extension LoadSample {
    private static let mebibyte = Double(1 << 20)
    private static let gibibyte = Double(1 << 30)

    func add(to results: inout Results, _ work: Work, _ subject: String) {
        let count = Double(operations)
        let name = work.name
        switch work.script {
        case .visits:
            results.add(name, .rate, subject, count / seconds)
            results.add(name, .cpuEach, subject, subjectCPU.map { $0 / count * 1e6 })
        case .exchanges:
            results.add(name, .rate, subject, count / seconds)
            results.add(name, .latency50, subject, latencies.percentile(0.5).map { $0 / 1000 })
            results.add(name, .latency99, subject, latencies.percentile(0.99).map { $0 / 1000 })
            if let stormOperations {
                results.add(name, .stormRate, subject, Double(stormOperations) / seconds)
            } else {
                results.add(name, .cpuEach, subject, subjectCPU.map { $0 / count * 1e6 })
            }
        case .upload, .download:
            results.add(name, .throughput, subject, Double(bytes) / Self.mebibyte / seconds)
            results.add(name, .cpuOfBytes, subject, subjectCPU.map { $0 / (Double(bytes) / Self.gibibyte) })
        case .hold, .waitForEnd, .stall: break
        }
        results.add(name, .subjectBusy, subject, subjectCPU.map { $0 / seconds })
        results.add(name, .generatorBusy, subject, generatorCPU / seconds)
    }
}
