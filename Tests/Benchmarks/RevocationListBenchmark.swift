import Foundation
import IO
import OpenSSL
import TestSupport

/// A CRL of a million certificates: how long it takes to read, what it takes of memory while it is read and afterwards,
/// and what a handshake pays for looking its client up.
struct RevocationListBenchmark {
    private static let work = "CRL of a million"
    private static let loading = Metric(name: "reading", unit: "s")
    private static let peak = Metric(name: "memory, reading", unit: "MiB")
    private static let kept = Metric(name: "memory, kept", unit: "MiB")
    private static let lookUp = Metric(name: "look-up", unit: "µs")
    /// While it is read, the file is in memory too: its size is the authority's.
    private static let limits = [(loading, 2.0), (kept, 64.0), (lookUp, 5.0)]

    private let count: Int
    private let lookUps: Int
    private let authority: TestAuthority
    private let folder: TemporaryDirectory
    private let chains: [[Certificate]]

    init(isQuick: Bool) throws {
        count = isQuick ? 20_000 : 1_000_000
        lookUps = isQuick ? 10_000 : 1_000_000
        authority = try TestAuthority()
        folder = try temporaryDirectory()
        let above = [try authority.intermediate.certificate(), try authority.root.certificate()]
        chains = try authority.clients(100).map { [try $0.certificate()] + above }
        var list = try TestListBytes(of: authority.intermediate)
        list.entries = entries()
        try folder.write(try list.signed(by: authority.intermediate), to: "crl.der")
    }

    static func marks(_ results: Results) -> [Mark] {
        limits.compactMap { metric, limit in
            let key = Results.Key(work: work, metric: metric)
            guard let measured = results.values(key, "nodeguard")?.median else { return nil }
            return Mark(
                name: "\(work): \(metric.name) < \(limit) \(metric.unit)", limit: limit, measured: measured,
                holds: measured < limit)
        }
    }

    /// In no order, as most authorities have them; each of 16 octets and with a reason.
    private func entries() -> [UInt8] {
        var bytes: [UInt8] = []
        let reason = DERBytes.reason(1)
        bytes.reserveCapacity(count * 52)
        for _ in 0..<count {
            let serial = (0..<16).map { UInt8.random(in: $0 == 0 ? 1...0x7F : 0...0xFF) }
            bytes += DERBytes.entry(serial, reason)
        }
        return bytes
    }

    func run(into results: inout Results) throws {
        let issuers = [try authority.intermediate.certificate()]
        ProcessMemory.forgetStartUp()
        let before = ProcessMemory.resident ?? 0
        // proc_pid_clear_refs(5): the peak begins here.
        try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
        let began = ContinuousClock.now
        let lists = try RevocationList.parse(contentsOf: folder.file("crl.der"), issuers: issuers)
        results.add(Self.work, Self.loading, "nodeguard", (ContinuousClock.now - began) / .seconds(1))
        results.add(Self.work, Self.peak, "nodeguard", Double(Self.peakBytes - before) / 0x100000)
        ProcessMemory.forgetStartUp()
        results.add(Self.work, Self.kept, "nodeguard", Double((ProcessMemory.resident ?? 0) - before) / 0x100000)
        guard lists.first?.count == count else { throw BenchmarkError("the list is not what was written") }
        let trust = try TrustAnchors(
            [authority.root.certificate()], revocation: Revocation(lists, RevocationRules(depth: .leaf)))
        let now = Int64(Date().timeIntervalSince1970)
        let asked = ContinuousClock.now
        var refused = 0
        for index in 0..<lookUps where trust.refusal(of: chains[index % chains.count], at: now) != nil { refused += 1 }
        let each = (ContinuousClock.now - asked) / .microseconds(1) / Double(lookUps)
        guard refused == 0 else { throw BenchmarkError("\(refused) clients are on a list that does not have them") }
        results.add(Self.work, Self.lookUp, "nodeguard", each)
    }

    private static var peakBytes: Int {
        let status = (try? Files.read("/proc/self/status", limit: 64 << 10)) ?? []
        let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
}
