import Backups
import Certificates
import IO
import OpenSSL
import Proxy
import Reports
import Status
import Systemd

/// Takes what has changed over while the node runs: access rules, whom a listener or a tunnel trusts, limits,
/// certificates in files, where certificates are published, the bandwidth of backups, the log level.
///
/// All of it is read and tried first, and a mistake anywhere changes nothing; then each listener changes in one step.
/// What else differs in the configuration needs a restart, and is named.
actor ConfigurationReload: QueueConfined {
    enum Trigger: String {
        case call, signal
        /// Files of certificates or authorities have changed; the configuration file is not read again.
        case files
    }

    enum Outcome: Equatable {
        case refused(String)
        /// Paths of keys.
        case taken(applied: [String], needsRestart: [String])
    }

    private static let map = "database-user-map"
    /// Others may publish while a change is tested: it is tested again.
    private static let attempts = 16

    nonisolated let queue = SerialQueue(label: "reload", isPatient: true)
    private let path: String
    private let listeners: Set<String>
    private let tunnels: Set<String>
    private let roles: Set<String>
    /// Targets of backups that run, in object stores.
    private let stores: Set<String>
    private let watch: FileWatch
    private let filesDue: Alarm
    /// What is in effect, by paths of keys.
    private var effective: [String: String]
    /// Where it names files: those of what was last taken.
    private var configuration: NodeConfiguration
    private let proxy: DatabaseProxy
    private let certificates: CertificateRenewer
    private let publisher: CertificatePublisher
    private let backups: BackupJob
    private let reports: ReloadReports
    private let threshold: LogThreshold
    /// One at a time.
    private var last: Task<Outcome, Never>?

    init(of path: String, running: NodeConfiguration, node: Node, threshold: LogThreshold) {
        self.path = path
        listeners = Set(running.proxy.listeners.map(\.name))
        tunnels = Set(running.proxy.tunnels.map(\.name))
        roles = Set(running.certificates.roles.map(\.name))
        effective = ConfigurationText.values(of: running)
        configuration = running
        (proxy, certificates, filesDue) = (node.proxy, node.certificates, node.filesDue)
        publisher = node.publisher
        stores = Set(running.backups.targets.filter { $0.store != nil }.map(\.name))
        backups = node.backups
        reports = ReloadReports(path: path, health: node.health, audit: node.reporter)
        self.threshold = threshold
        watch = FileWatch { [filesDue] in filesDue.ring() }
    }

    /// Before the files are read for the first time, so that no change is missed.
    func begin() async { await watch.watch(configuration.watchedFiles) }

    /// Reads files again whenever they change, until the task is cancelled.
    nonisolated func run() async {
        while true {
            switch await filesDue.wait(for: .seconds(3600)) {
            case .rung: _ = await perform(.files)
            case .elapsed: continue
            case .cancelled: return await watch.stop()
            }
        }
    }

    /// A second reload waits for the first.
    func perform(_ trigger: Trigger) async -> Outcome {
        let before = last
        let task = Task {
            _ = await before?.value
            return await self.take(trigger)
        }
        last = task
        return await task.value
    }

    private func take(_ trigger: Trigger) async -> Outcome {
        do throws(ReloadRefusal) {
            let wanted = trigger == .files ? configuration : try read()
            let files = try await takeFiles(wanted, trigger)
            if trigger == .files { return tell(trigger, files.sorted(), []) }
            return await takeKeys(wanted, files, trigger)
        } catch {
            reports.refused(trigger, error.description)
            return .refused(error.description)
        }
    }

    private func read() throws(ReloadRefusal) -> NodeConfiguration {
        do throws(ConfigurationError) {
            return try NodeConfiguration.read(path)
        } catch {
            throw ReloadRefusal(description: error.description)
        }
    }

    // MARK: what the proxy works with

    /// Tries everything, then puts it into effect in one step; which files were new, as paths of keys.
    private func takeFiles(
        _ wanted: NodeConfiguration, _ trigger: Trigger
    ) async throws(ReloadRefusal) -> Set<String> {
        let found = await certificates.readFiles()
        // A CRL that is wrong keeps no certificate from being renewed: the proxy watches it by itself, and says so.
        let mistakes =
            found.mistakes.sorted { $0.key < $1.key }.flatMap { wanted.mistakes(ofRole: $0, $1) }
            + (trigger == .files ? wanted.trustMistakes : wanted.fileMistakes)
        if let error = wanted.places.error(mistakes) { throw ReloadRefusal(description: error.description) }
        var change = ProxyChange()
        change.identities = found.new
        change.limits = wanted.proxy.limits
        for listener in wanted.proxy.listeners {
            do {
                change.listenerLimits[listener.name] = listener.limits
                change.policies[listener.name] = try listener.policy()
                change.trust[listener.name] = try listener.trust.current(for: .client)
                change.backendTrust[listener.name] = try listener.currentBackendTrust()
            } catch { throw ReloadRefusal(description: "listener \(listener.name): \(error)") }
        }
        for tunnel in wanted.proxy.tunnels {
            do { change.trust[tunnel.name] = try tunnel.trust.current(for: .server) } catch {
                throw ReloadRefusal(description: "tunnel \(tunnel.name): \(error)")
            }
        }
        if trigger != .files {
            let refused = proxy.lookAtFiles(isForced: true)
            guard refused.isEmpty else { throw ReloadRefusal(description: refused.joined(separator: "\n")) }
        }
        var taken = Set(found.new.keys.map { "certificates.roles.\($0).files" })
        for _ in 0..<Self.attempts {
            let tested: TestedChange
            do throws(ProxyError) {
                tested = try proxy.test(change)
            } catch { throw ReloadRefusal(description: error.description) }
            taken.formUnion(tested.newTrust.map { "proxy.listeners.\($0).trust" })
            taken.formUnion(tested.newTunnelTrust.map { "proxy.tunnels.\($0).trust" })
            taken.formUnion(tested.newBackendTrust.map { "proxy.listeners.\($0).backend-trust" })
            taken.formUnion(tested.newPolicies.map { "proxy.listeners.\($0)." + Self.map })
            guard proxy.adopt(tested) else { continue }
            await certificates.adopt(found)
            return taken
        }
        throw ReloadRefusal(description: "certificates were published \(Self.attempts) times meanwhile; try again")
    }

    // MARK: keys of the configuration

    private func takeKeys(_ wanted: NodeConfiguration, _ files: Set<String>, _ trigger: Trigger) async -> Outcome {
        let values = ConfigurationText.values(of: wanted)
        let changed = Set(values.keys).union(effective.keys).filter { values[$0] != effective[$0] }
        let applied = changed.filter(isLive)
        threshold.level = wanted.log.threshold
        publisher.replace(wanted.publications)
        for target in wanted.backups.targets where applied.contains(Self.bandwidth(of: target.name)) {
            backups.limitBandwidth(of: target.name, to: target.store?.bandwidth)
        }
        for key in applied { effective[key] = values[key] }
        configuration = wanted
        await watch.watch(configuration.watchedFiles)
        // Rules that are others though no key of theirs has changed: then the map has that they name.
        let files = files.filter { file in
            guard file.hasSuffix(Self.map) else { return true }
            return !applied.contains { $0.hasPrefix(file.dropLast(Self.map.count)) }
        }
        let pending = Set(changed.subtracting(applied).map(Self.shortened)).sorted()
        return tell(trigger, files.union(applied.map(Self.shortened)).sorted(), pending)
    }

    private static func bandwidth(of target: String) -> String { "backups.targets.\(target).bandwidth" }

    private func tell(_ trigger: Trigger, _ applied: [String], _ pending: [String]) -> Outcome {
        reports.taken(trigger, applied: applied, needsRestart: pending)
        return .taken(applied: applied, needsRestart: pending)
    }

    /// Rules, trust and limits of a listener that runs, trust of a tunnel, limits of all, where the certificate of a
    /// role is published, the bandwidth of a store, and the log level.
    private func isLive(_ key: String) -> Bool {
        if key == "log.level" || key.hasPrefix("proxy.limits.") { return true }
        if tunnels.contains(where: { key == "proxy.tunnels.\($0).trust" }) { return true }
        if roles.contains(where: { key.hasPrefix("certificates.roles.\($0).publish.") }) { return true }
        if stores.contains(where: { key == Self.bandwidth(of: $0) }) { return true }
        return listeners.contains { name in
            ["allow.", "deny.", "mode", "database-user-map", "limits."].contains {
                key.hasPrefix("proxy.listeners.\(name).\($0)")
            }
                || ["trust", "backend-trust"].contains { key == "proxy.listeners.\(name).\($0)" }
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

/// Why nothing was changed.
private struct ReloadRefusal: Error {
    let description: String
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
