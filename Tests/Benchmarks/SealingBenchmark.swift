import Backups
import Foundation
import Glibc
import IO
import OpenSSL
import Reports
import Synchronization
import TestSupport

/// Bytes in memory → sealer → nowhere, beside what OpenSSL's own loop makes of the same cipher. Per second of CPU, so
/// that it is one core's throughput, however many take part.
struct SealingBenchmark {
    let extent: Extent

    func run(into results: inout Results) throws {
        let work = "sealing, 1 MiB frames"
        let cpuBefore = ProcessUsage.ownCPUSeconds
        let source = MemoryStream(length: extent.sealedMiB << 20)
        try seal(source)
        let sealed = Double(extent.sealedMiB) / (ProcessUsage.ownCPUSeconds - cpuBefore)
        results.add(work, Metric(name: "one core", unit: "MiB/s", isBetterWhenLarger: true), "nodeguard", sealed)
        let reference = try opensslRate()
        results.add(work, Metric(name: "one core", unit: "MiB/s", isBetterWhenLarger: true), "openssl", reference)
        results.add(
            work, Metric(name: "share of OpenSSL's rate", unit: "%", isBetterWhenLarger: true), "nodeguard",
            sealed / reference * 100)
    }

    private func seal(_ source: MemoryStream) throws {
        let key = BackupKey(id: "benchmark", secret: SecretReference(copying: secureRandom(32)))
        let identity = BackupIdentity(cluster: "benchmark", backup: BackupIdentifier())
        let sealer = StreamSealer(
            .data, of: identity, key: key, layout: .standard, from: source, to: Nowhere(), watch: StreamWatch())
        let sealed = try sealer.run(width: 1)
        guard sealed.plaintextLength == Int64(source.length) else { throw BenchmarkError("not everything was sealed") }
    }

    /// Its last line is `AES-256-GCM 1234567.89k`: thousands of bytes a second of CPU.
    private func opensslRate() throws -> Double {
        // It ends by SIGALRM, which this thread of the pool blocks and its child would inherit.
        var signals = sigset_t()
        sigemptyset(&signals)
        pthread_sigmask(SIG_SETMASK, &signals, nil)
        let output = try Subprocess.check(
            "openssl",
            ["speed", "-seconds", "\(extent.opensslSeconds)", "-bytes", "1048576", "-evp", "aes-256-gcm"])
        let words = output.split(separator: "\n").last?.split(separator: " ")
        guard let number = words?.last, number.hasSuffix("k"), let rate = Double(number.dropLast()) else {
            throw BenchmarkError("openssl speed said: \(output)")
        }
        return rate * 1000 / Double(1 << 20)
    }
}

/// As many bytes as asked for, without a copy: whatever lies in the reader's buffer.
private final class MemoryStream: ByteSource {
    let length: Int
    private let left: Mutex<Int>

    init(length: Int) {
        self.length = length
        left = Mutex(length)
    }

    func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
        left.withLock { left in
            let count = min(left, buffer.freeCount)
            buffer.withFreeSpace { _ in count }
            left -= count
            return count
        }
    }
}

private struct Nowhere: BackupTarget, SealedObjectWriter {
    let name = "nowhere"

    func makeObject(_ object: BackupObject) throws(BackupError) -> any SealedObjectWriter { self }
    func append(_ part: SealedPart) throws(BackupError) {}
    func complete() throws(BackupError) {}
    func abandon() {}

    func store(_ document: PublicDocument, as object: BackupObject) throws(BackupError) {}
    func openObject(_ object: BackupObject) throws(BackupError) -> any Backups.StoredObject {
        throw BackupError(.notFound, "nothing is kept")
    }
    func backups(of cluster: String) throws(BackupError) -> [BackupIdentifier] { [] }
    func remove(_ backup: BackupIdentifier, of cluster: String) throws(BackupError) {}
    func sweep(_ cluster: String, untouchedSince moment: Timestamp) throws(BackupError) -> [BackupIdentifier] { [] }
}
