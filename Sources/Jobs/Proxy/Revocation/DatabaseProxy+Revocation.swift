import IO
import OpenSSL
import Reports
import Synchronization

extension DatabaseProxy {
    /// What counts is on the disk before; this long it may take to be seen.
    private static let lookInterval = Duration.milliseconds(250)

    /// Reads every file of revocation lists and deny lists, before a port is open.
    func loadFiles() throws(ProxyError) {
        if files.isEmpty { return }
        let refusals = take(files.look(isForced: true, issuers: issuers))
        if !refusals.isEmpty { throw ProxyError(description: refusals.joined(separator: "; ")) }
    }

    func watchFiles() {
        guard let fileQueue else { return }
        let look: @Sendable () -> Void = { [weak self] in
            // A disk that does not answer is asked once.
            guard let self, isLooking.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
            else { return }
            fileQueue.submit {
                self.lookAtFiles()
                self.isLooking.store(false, ordering: .relaxed)
            }
        }
        handshakes.first?.submit { $0.floor.tick(every: Self.lookInterval, look) }
    }

    /// Looks at the files of revocation lists and deny lists: what they say now counts at once, for new handshakes and
    /// live connections. What is wrong with them, a line each, changes nothing. Blocks; from any thread.
    ///
    /// `isForced`: what is wrong with a file is told at once, though it may be half written, and once more.
    @discardableResult package func lookAtFiles(isForced: Bool = false) -> [String] {
        if files.isEmpty { return [] }
        return take(files.look(isForced: isForced, issuers: issuers))
    }

    /// Those that the listeners trust which use the file.
    private func issuers(_ path: String) -> [Certificate] {
        let cluster = credentials.withLock { $0.trust?.certificates ?? [] }
        return listeners.filter { $0.configuration.revocation?.files.contains(path) == true }.map(\.trust)
            .flatMap { $0.anchors + ($0.trustsCluster ? cluster : []) }
    }

    private func take(_ findings: [RevocationFiles.Finding]) -> [String] {
        if findings.isEmpty { return [] }
        let adopted = findings.filter { $0.refusal == nil }
        let lists = Set(adopted.filter { $0.kind == .revocationLists }.map(\.path))
        let denied = Set(adopted.filter { $0.kind == .denyList }.map(\.path))
        for listener in listeners where !denied.isDisjoint(with: listener.configuration.denyLists) {
            guard let denyLists = files.denyLists(of: listener.configuration.denyLists) else { continue }
            listener.adopt(denyLists)
        }
        if !lists.isEmpty { credentials.withLock { $0.listsChanged() } }
        if !lists.isEmpty { renew { !lists.isDisjoint(with: $0.configuration.revocation?.files ?? []) } }
        for listener in listeners {
            let configuration = listener.configuration
            let named = Set(configuration.denyLists + (configuration.revocation?.files ?? []))
            if !named.isDisjoint(with: denied.union(lists)) { review(listener) }
        }
        for finding in findings { revocationReports.found(finding, in: files) }
        revocationReports.looked(at: Timestamp.now.seconds, listeners)
        return findings.compactMap { finding in
            finding.refusal.map { $0.contains(finding.path) ? $0 : "\(finding.path): \($0)" }
        }
    }
}
