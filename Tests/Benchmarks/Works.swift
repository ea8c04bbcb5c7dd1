/// Something that every subject is made to do.
struct Work: Sendable {
    let name: String
    let script: Script
    let width: Int

    static let proxy = [
        Work(name: "full handshakes, 8 at a time", script: .visits, width: 8),
        Work(name: "64 B requests, 1 connection", script: .exchanges, width: 1),
        Work(name: "64 B requests, 8 connections", script: .exchanges, width: 8),
        Work(name: "64 B requests, 64 connections", script: .exchanges, width: 64),
        Work(name: "bulk up, 2 connections", script: .upload, width: 2),
        Work(name: "bulk down, 2 connections", script: .download, width: 2),
    ]
}

/// How long and how much.
struct Extent: Sendable {
    let warmUp: Duration
    let window: Duration
    let idleConnections: Int
    let sealedMiB: Int
    let opensslSeconds: Int

    static let full = Extent(
        warmUp: .milliseconds(300), window: .seconds(2), idleConnections: 1000, sealedMiB: 2048, opensslSeconds: 2)
    /// Proves that everything still runs; its figures mean little.
    static let quick = Extent(
        warmUp: .milliseconds(50), window: .milliseconds(250), idleConnections: 100, sealedMiB: 128, opensslSeconds: 1)
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
}

extension LoadSample {
    private static let mebibyte = Double(1 << 20)
    private static let gibibyte = Double(1 << 30)

    func add(to results: inout Results, _ work: Work, _ subject: String) {
        let count = Double(operations)
        let name = work.name
        switch work.script {
        case .visits:
            results.add(name, "rate", "1/s", subject, count / seconds)
            results.add(name, "CPU each", "µs", subject, subjectCPU.map { $0 / count * 1e6 })
        case .exchanges:
            results.add(name, "rate", "1/s", subject, count / seconds)
            results.add(name, "latency p50", "µs", subject, latencies.percentile(0.5).map { $0 / 1000 })
            results.add(name, "latency p99", "µs", subject, latencies.percentile(0.99).map { $0 / 1000 })
            results.add(name, "CPU each", "µs", subject, subjectCPU.map { $0 / count * 1e6 })
        case .upload, .download:
            results.add(name, "rate", "MiB/s", subject, Double(bytes) / Self.mebibyte / seconds)
            results.add(name, "CPU", "s/GiB", subject, subjectCPU.map { $0 / (Double(bytes) / Self.gibibyte) })
        case .hold, .waitForEnd: break
        }
        results.add(name, "subject busy", "cores", subject, subjectCPU.map { $0 / seconds })
        results.add(name, "generator busy", "cores", subject, generatorCPU / seconds)
    }
}
