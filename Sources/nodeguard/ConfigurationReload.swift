import Audit
import Proxy
import Reports
import Status
import Synchronization
import Systemd

/// Takes a changed configuration file over while the node runs: the access rules and the log level.
///
/// The file is read as a whole, and a mistake anywhere changes nothing. What else differs needs a restart, and is
/// named.
final class ConfigurationReload: Sendable {
    enum Outcome: Equatable {
        case refused(String)
        /// Paths of keys.
        case taken(applied: [String], needsRestart: [String])
    }

    private let path: String
    private let started: NodeConfiguration
    /// What is in effect, by paths of keys.
    private let effective: Mutex<[String: String]>
    private let proxy: DatabaseProxy
    private let health: HealthBoard
    private let audit: AuditReporter
    private let threshold: LogThreshold

    init(of path: String, running: NodeConfiguration, node: Node, threshold: LogThreshold) {
        self.path = path
        started = running
        effective = Mutex(ConfigurationText.values(of: running))
        (proxy, health, audit) = (node.proxy, node.health, node.reporter)
        self.threshold = threshold
    }

    /// From any thread; a second reload waits for the first.
    func perform() -> Outcome {
        effective.withLock { effective in
            let configuration: NodeConfiguration
            let policies: [String: AccessPolicy]
            do throws(ConfigurationError) {
                configuration = try NodeConfiguration.read(path)
            } catch {
                return refuse(error.description)
            }
            do throws(ConfigurationFileError) { policies = try configuration.accessPolicies() } catch {
                return refuse(error.description)
            }
            let wanted = ConfigurationText.values(of: configuration)
            let changed = Set(wanted.keys).union(effective.keys).filter { wanted[$0] != effective[$0] }
            let names = Set(started.proxy.listeners.map(\.name))
            let applied = changed.filter { Self.isLive($0, listeners: names) }
            let renewed = apply(configuration, policies)
            // What is wrong with them changes nothing, and the status says so.
            proxy.lookAtFiles(isForced: true)
            for key in applied { effective[key] = wanted[key] }
            let pending = Set(changed.subtracting(applied).map(Self.shortened)).sorted()
            tell(of: pending)
            let taken = Set(applied.map(Self.shortened)).union(Self.filesBehind(renewed, applied)).sorted()
            audit.report(
                AuditEvent(
                    .configurationLoaded,
                    fields: [
                        "path": .string(path), "applied": .strings(taken), "needs.restart": .strings(pending),
                    ]))
            return .taken(applied: taken, needsRestart: pending)
        }
    }

    private func refuse(_ reason: String) -> Outcome {
        health.raise(
            HealthReason(
                "CONFIGURATION_REFUSED", .warn, detail: "the changed configuration has mistakes and is not used",
                action: "run nodeguard config check, mend them, then nodeguard reload"))
        audit.report(
            AuditEvent(
                .configurationLoaded, .failure, fields: ["path": .string(path), "reason": .string(reason)]))
        return .refused(reason)
    }

    /// The listeners whose rules have changed.
    private func apply(_ configuration: NodeConfiguration, _ policies: [String: AccessPolicy]) -> [String] {
        threshold.level = configuration.log.threshold
        return proxy.publish(policies: policies)
    }

    /// Of listeners where no key has changed: then a file has that a key names.
    private static func filesBehind(_ listeners: [String], _ applied: Set<String>) -> [String] {
        listeners.map { "proxy.listeners.\($0)." }
            .filter { prefix in !applied.contains { $0.hasPrefix(prefix) } }
            .map { $0 + "database-user-map" }
    }

    private func tell(of pending: [String]) {
        health.clear("CONFIGURATION_REFUSED")
        guard !pending.isEmpty else { return health.clear("CONFIGURATION_NEEDS_RESTART") }
        health.raise(
            HealthReason(
                "CONFIGURATION_NEEDS_RESTART", .info,
                detail: "changed in the file, not yet in effect: \(pending.joined(separator: ", "))",
                action: "systemctl restart nodeguard when it suits"))
    }

    /// The rules of a listener that runs, and the log level.
    private static func isLive(_ key: String, listeners: Set<String>) -> Bool {
        if key == "log.level" { return true }
        return listeners.contains { name in
            ["allow.", "deny.", "mode", "database-user-map"].contains { key.hasPrefix("proxy.listeners.\(name).\($0)") }
        }
    }

    /// Without what stands below `allow` and `deny`: rules have no names.
    private static func shortened(_ key: String) -> String {
        let words = key.split(separator: ".", omittingEmptySubsequences: false)
        guard let end = words.firstIndex(where: { $0 == "allow" || $0 == "deny" }), key.hasPrefix("proxy.listeners.")
        else { return key }
        return words[...end].joined(separator: ".")
    }
}

extension ConfigurationReload.Outcome {
    var controlOutcome: ControlOutcome {
        switch self {
        case .refused(let reason): .refused(reason)
        case .taken(let applied, let pending):
            .done(["applied": .strings(applied), "needs_restart": .strings(pending)])
        }
    }
}
