import IO
import Reports

/// Where the audit log of a node lives and how much of it may wait; made once from the configuration file.
package struct AuditConfiguration: Sendable {
    /// Holds `audit.sqlite`, the log's key beside it, and `quarantine/`.
    package var directory: String
    /// Bytes of events that may wait for the plane.
    package var limit: Int64
    package var whenFull: FullPolicies
    /// The plane's C2SP verifier key; nil: the one that it names first is believed from then on.
    package var witness: String?
    package var node: String
    package var cluster: String
    /// The kernel's name for this boot; tells a crash from a power cut.
    package var boot: String
    /// A stop waits so long for the plane to take the last events; they are durable already.
    var farewell = Duration.seconds(2)

    package init(
        directory: String, limit: Int64 = 1 << 30, whenFull: FullPolicies = FullPolicies(), witness: String? = nil,
        node: String, cluster: String, boot: String = Self.currentBoot
    ) {
        self.directory = directory
        self.limit = limit
        self.whenFull = whenFull
        self.witness = witness
        self.node = node
        self.cluster = cluster
        self.boot = boot
    }

    var limits: SpoolLimits { SpoolLimits(limit: limit, policies: whenFull) }

    /// random(4), `/proc/sys/kernel/random/boot_id`; `unknown` where `/proc` shows processes alone (systemd.exec(5),
    /// ProcSubset=).
    package static var currentBoot: String {
        guard let bytes = try? Files.read("/proc/sys/kernel/random/boot_id", limit: 64) else { return "unknown" }
        return String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
    }
}
