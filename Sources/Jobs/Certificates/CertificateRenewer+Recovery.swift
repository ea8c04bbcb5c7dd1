import IO
import OpenSSL
import PlaneAPI
import PlaneClient
import Reports

/// What stands between a certificate that has expired and somebody with a join bundle: the plane was away for longer
/// than the identity lives, and the identity is not shown to anybody any more.
extension CertificateRenewer {
    /// A plane that was restored from a backup may know no key any more.
    private static let daily = Duration.seconds(86_400)
    private static let retryPause = Duration.seconds(60)

    func keepRecoveryKey() async {
        while !isEnding {
            let pause = await tellRecoveryKey()
            _ = await recoveryAlarm.wait(for: pause)
        }
    }

    /// Makes the key and tells the plane of it, under a good identity; says when to do so again. Where identities have
    /// their keys in a token, a key in a file would be the weaker one of both, and there is none.
    private func tellRecoveryKey() async -> Duration {
        guard let plane, let node, node.key.store == nil else { return Self.daily }
        guard node.isValid(at: now) else { return configuration.pollInterval }
        do {
            let isNew = !recovery.isRegistered
            let key = try recovery.keyOrNew()
            try await plane.registerRecoveryKey(key.publicKeyDER)
            try recovery.noteRegistered(key, isNew: isNew)
            node.machine.recoveryChanged(isPossible: true)
            return Self.daily
        } catch let error as StoreError {
            reports.notWritten(error, what: "recovery")
        } catch let error as PlaneError where error.kind == .configuration {
            return Self.daily
        } catch {}
        return Self.retryPause
    }

    /// Over a connection that shows no certificate, to a server that is verified as ever.
    func sendProof(
        _ draft: CertificateDraft, label: String, _ membership: Membership
    ) async throws(CertificateProblem) -> [Certificate] {
        guard let plane else { return [] }
        let key = try storing { () throws(StoreError) in try recovery.key() }
        let (cluster, node) = (membership.cluster, membership.node)
        let question = RecoveryQuestion(cluster: cluster, node: node, uses: recovery.uses)
        let challenge = try await answer(.recovery) { () async throws(PlaneError) in
            try await plane.recoveryChallenge(question)
        }
        let signed = Recovery.signedBytes(
            challenge: challenge, cluster: cluster, node: node, requestDigest: Digest.sha256(draft.request))
        let signature: [UInt8]
        do throws(OpenSSLError) { signature = try key.sign(signed) } catch {
            throw .keyStore(key.place, error.description)
        }
        let password = SecretReference(
            copying: Array(Recovery.password(challenge: challenge, signature: signature).utf8))
        return try await answer(.recovery) { () async throws(PlaneError) in
            try await plane.enroll(label: label, request: draft.request, token: password, as: node)
        }
    }

    func beginRecoveryAnew() {
        do throws(StoreError) { try recovery.setAside() } catch { reports.notWritten(error, what: "recovery") }
        recoveryAlarm.ring()
    }

    func noteRecovery() {
        do throws(StoreError) { try recovery.noteUse() } catch { reports.notWritten(error, what: "recovery") }
    }
}
