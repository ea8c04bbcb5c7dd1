import OpenSSL
import Reports
import Synchronization

/// An authority that a port trusts.
struct TrustedAuthority {
    let certificate: Certificate
    /// nil: it is the cluster's.
    let file: String?
    /// `listener ysql`, `the database of listener ysql`, `tunnel out`.
    let user: String
    /// Others that the same port trusts.
    let beside: [Certificate]
}

/// Says in time that authorities end: from then on whoever is certified by them is refused. Safe from any thread.
final class AuthorityReports: Sendable {
    private static let codes = ["AUTHORITY_EXPIRES_SOON", "AUTHORITY_EXPIRED"]

    private let health: HealthBoard
    /// Of reasons that are up.
    private let subjects = Mutex<Set<String>>([])

    init(health: HealthBoard) { self.health = health }

    /// One reason for each authority, whoever trusts it. `trusted`: those of now; asked under the lock, so that no
    /// older answer comes last.
    func looked(at now: Int64, _ trusted: () -> [TrustedAuthority]) {
        subjects.withLock { subjects in
            let byCertificate = Dictionary(grouping: trusted(), by: \.certificate)
            var present: Set<String> = []
            for (certificate, uses) in byCertificate {
                let stage = Self.stage(certificate, at: now)
                guard stage != .fresh else { continue }
                let subject = "authority \(certificate)"
                present.insert(subject)
                tell(certificate, stage, uses, subject, at: now)
            }
            for gone in subjects.subtracting(present) {
                for code in Self.codes { health.clear(code, subject: gone) }
            }
            subjects = present
        }
    }

    private static func stage(_ certificate: Certificate, at now: Int64) -> AuthorityAgeStateMachine.Stage {
        AuthorityAgeStateMachine.stage(at: now, from: certificate.notBefore, to: certificate.notAfter)
    }

    private func tell(
        _ certificate: Certificate, _ stage: AuthorityAgeStateMachine.Stage, _ uses: [TrustedAuthority],
        _ subject: String, at now: Int64
    ) {
        let files = Set(uses.compactMap(\.file)).sorted()
        let isOfCluster = uses.contains { $0.file == nil }
        let sources = files.map { "of \($0)" } + (isOfCluster ? ["of the cluster"] : [])
        let users = Set(uses.map(\.user)).sorted().joined(separator: ", ")
        let end = Timestamp(seconds: certificate.notAfter)
        let whose = "\(certificate) \(sources.joined(separator: " and ")), trusted by \(users),"
        // One of the same name that stays: it only has to be taken out.
        let isReplaced = uses.allSatisfy { use in
            use.beside.contains {
                $0.subjectDER == certificate.subjectDER && Self.stage($0, at: now) == .fresh
            }
        }
        let hasEnded = stage == .ended
        health.clear(Self.codes[hasEnded ? 0 : 1], subject: subject)
        health.raise(
            HealthReason(
                Self.codes[hasEnded ? 1 : 0], isReplaced ? .info : hasEnded ? .error : .warn, subject: subject,
                detail: hasEnded
                    ? "\(whose) has ended at \(end): whom it has certified is refused"
                    : "\(whose) ends at \(end): whom it has certified is refused then",
                action: Self.remedy(files, isOfCluster, isReplaced: isReplaced)))
    }

    private static func remedy(_ files: [String], _ isOfCluster: Bool, isReplaced: Bool) -> String {
        let names = files.joined(separator: " and ")
        let ofFiles =
            isReplaced
            ? "a successor of its name stands beside it: take it out of \(names) once nobody has a certificate of it"
            : "put its successor beside it into \(names), which is read again by itself, and have new certificates "
                + "issued under that"
        let ofCluster =
            isReplaced
            ? "a successor of its name has come from the plane: nothing is to be done"
            : "give the cluster a successor at the plane, from where the node fetches it"
        return ((files.isEmpty ? [] : [ofFiles]) + (isOfCluster ? [ofCluster] : [])).joined(separator: "; ")
    }
}

extension DatabaseProxy {
    /// Of listeners, of databases that are verified, and of tunnels' remote ends.
    var trustedAuthorities: [TrustedAuthority] {
        let cluster = credentials.withLock { $0.trust?.certificates ?? [] }
        return listeners.flatMap { listener in
            let ofBackend = listener.backendTrust.map {
                $0.authorities(cluster, of: "the database's side of \(listener.subject)")
            }
            return listener.trust.authorities(cluster, of: listener.subject) + (ofBackend ?? [])
        }
    }
}

extension ListenerTrust {
    fileprivate func authorities(_ cluster: [Certificate], of user: String) -> [TrustedAuthority] {
        let ofCluster = trustsCluster ? cluster : []
        let all = ofCluster + anchors
        return ofCluster.map { TrustedAuthority(certificate: $0, file: nil, user: user, beside: all) }
            + anchors.map {
                TrustedAuthority(certificate: $0, file: files[$0] ?? "the configuration", user: user, beside: all)
            }
    }
}
