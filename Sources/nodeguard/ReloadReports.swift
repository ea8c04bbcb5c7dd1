import Reports

/// What is said of reloads, in the audit log (and so in the journal) and in the status.
struct ReloadReports {
    private static let configuration = "CONFIGURATION_REFUSED"
    private static let files = "FILES_REFUSED"
    private static let pending = "CONFIGURATION_NEEDS_RESTART"
    private static let reasonLimit = 400

    let path: String
    let health: HealthBoard
    let audit: AuditReporter

    func refused(_ trigger: ConfigurationReload.Trigger, _ reason: String) {
        let isFiles = trigger == .files
        let what = isFiles ? "files of certificates or authorities" : "the changed configuration"
        health.raise(
            HealthReason(
                isFiles ? Self.files : Self.configuration, .warn,
                detail: "\(what) cannot be used, and nothing was changed: \(Self.short(reason))",
                action: isFiles
                    ? "put good files there; they are taken up by themselves"
                    : "run nodeguard config check, mend what it says, then nodeguard reload"))
        audit.report(
            AuditEvent(
                .configurationLoaded, .failure,
                fields: ["path": .string(path), "trigger": .string(trigger.rawValue), "reason": .string(reason)]))
    }

    /// Files that were read again and were what they had been are not worth a word.
    func taken(_ trigger: ConfigurationReload.Trigger, applied: [String], needsRestart: [String]) {
        health.clear(Self.files)
        if trigger != .files { tell(of: needsRestart) }
        if trigger == .files, applied.isEmpty { return }
        audit.report(
            AuditEvent(
                .configurationLoaded,
                fields: [
                    "path": .string(path), "trigger": .string(trigger.rawValue), "applied": .strings(applied),
                    "needs.restart": .strings(needsRestart),
                ]))
    }

    private func tell(of needsRestart: [String]) {
        health.clear(Self.configuration)
        guard !needsRestart.isEmpty else { return health.clear(Self.pending) }
        health.raise(
            HealthReason(
                Self.pending, .info,
                detail: "changed in the file, not yet in effect: \(needsRestart.joined(separator: ", "))",
                action: "systemctl restart nodeguard when it suits"))
    }

    private static func short(_ text: String) -> String {
        let line = text.split(separator: "\n").joined(separator: "; ")
        return line.count <= reasonLimit ? line : line.prefix(reasonLimit - 1) + "…"
    }
}
