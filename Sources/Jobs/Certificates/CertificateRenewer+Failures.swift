import PlaneAPI
import PlaneClient
import Reports

extension CertificateRenewer {
    /// `attempt`: with which bundle it was tried, if with one.
    func failed(_ certificate: ManagedCertificate, _ problem: CertificateProblem, of attempt: Joining? = nil) async {
        let random = Double.random(in: 0..<1)
        if problem.isPending { return postpone(certificate, problem, random) }
        let problem = await explained(problem)
        if problem.failure.isAboutToken, let attempt { recordRefusal(of: attempt.digest) }
        // Another bundle that came meanwhile has its own token and pin: it is tried, whatever became of this one.
        if let attempt, let joining, joining.offer != attempt.offer { return }
        certificate.lastProblem = problem
        certificate.machine.requestFailed(
            problem.failure, retryAfter: problem.retryAfter, random: random, at: now)
        // The request itself was wrong: once, it is made anew.
        if problem.failure == .request, certificate.machine.wantsNewRequest { await discardDraft(of: certificate) }
        reports.failed(problem, role: certificate.role)
        report()
    }

    /// 202: the same request again, after a restart too (RFC 7030 §4.2.3).
    private func postpone(_ certificate: ManagedCertificate, _ problem: CertificateProblem, _ random: Double) {
        let time = certificate.machine.requestDeferred(by: problem.retryAfter ?? 300, random: random, at: now)
        certificate.lastProblem = nil
        reports.planeAnswered()
        trustMachine.planeTrusted()
        reports.pending(until: time, role: certificate.role, isServed: certificate.isValid(at: now))
        do throws(StoreError) {
            try certificate.store.draft.postpone(until: time)
        } catch {
            // The request itself is on the disk: after a restart it is only sent too early.
            reports.notWritten(error, what: CertificateReports.subject(certificate.role))
        }
    }

    /// Who is refused by a plane whose clock is another is not to be taken for an enemy, nor the plane: certificates
    /// are valid or not by the clock (wazuh/wazuh#38439). A server's time is believed for nothing else.
    private func explained(_ problem: CertificateProblem) async -> CertificateProblem {
        guard [.untrusted, .identityRefused, .unauthorized].contains(problem.failure) else { return problem }
        let difference: Int64? =
            if problem.failure == .untrusted {
                await lookForPinnedRoot()
            } else if let serverTime = problem.serverTime {
                seconds - serverTime
            } else {
                await clockDifference()
            }
        guard let difference else { return problem }
        reports.clockCompared(difference: difference)
        return abs(difference) > IssuedCertificateCheck.skewLimit ? .skewed(problem, by: difference) : problem
    }

    private func clockDifference() async -> Int64? {
        guard let plane, let node, let cluster = trust?.membership.cluster ?? joining?.bundle.cluster else {
            return nil
        }
        let found = try? await provisionalAuthorities(of: plane, label: label(of: node, cluster: cluster))
        return found?.serverTime.map { seconds - $0 }
    }

    private func recordRefusal(of digest: String) {
        do throws(StoreError) {
            try ledger.recordRefusal(ofToken: digest)
        } catch {
            reports.notWritten(error, what: IssuanceLedger.name)
        }
    }

    func answer<Value: Sendable>(
        _ credential: CertificateProblem.Credential, _ call: () async throws(PlaneError) -> Value
    ) async throws(CertificateProblem) -> Value {
        do throws(PlaneError) {
            return try await call()
        } catch {
            throw CertificateProblem(error, shown: credential)
        }
    }

    func storing<Value>(_ body: () throws(StoreError) -> Value) throws(CertificateProblem) -> Value {
        do throws(StoreError) {
            return try body()
        } catch {
            throw CertificateProblem(error)
        }
    }
}
