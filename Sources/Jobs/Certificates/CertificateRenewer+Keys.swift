import OpenSSL
import Tokens

/// Keys from their making to their end. One in a token is named on the disk before it is made, and forgotten there only
/// when it was destroyed, so that no crash leaves a key behind that nobody knows.
extension CertificateRenewer {
    func makeKey(
        _ kind: KeyKind, for certificate: ManagedCertificate
    ) async throws(CertificateProblem) -> PrivateKey {
        guard let store = certificate.key.store else {
            do throws(OpenSSLError) {
                return try PrivateKey.generate(kind)
            } catch {
                throw CertificateProblem(StoreError(error))
            }
        }
        let announced = keys.announce(in: store)
        try storing { () throws(StoreError) in try certificate.store.draft.announce(announced) }
        do throws(TokenFailure) {
            let key = try await keys.generate(
                kind, announced: announced, label: "nodeguard \(configuration.node) \(certificate.role)")
            reports.keyMade(certificate.role, kind, in: store)
            return key
        } catch {
            throw error.isUnavailable
                ? .keyStore(store.description, error.description) : .keyRefused(store.description, error.description)
        }
    }

    /// With its key, unless that is in a generation.
    func discardDraft(of certificate: ManagedCertificate) async {
        let known = certificate.store.folder.tokenKeys.map(\.reference)
        if let reference = certificate.store.draft.tokenKey, !known.contains(where: reference.isSameKey) {
            await destroy(reference, of: certificate.role)
        }
        certificate.store.draft.discard()
    }

    /// Of generations that are no more kept. Where the token does not answer, they stay until the next time.
    func destroyRetiredKeys(of certificate: ManagedCertificate) async {
        let folder = certificate.store.folder
        for (number, reference) in folder.tokenKeys where folder.isRetired(number) {
            if await destroy(reference, of: certificate.role) { folder.removeRetired(number) }
        }
    }

    @discardableResult
    private func destroy(_ reference: KeyReference, of role: String) async -> Bool {
        do throws(TokenFailure) {
            try await keys.destroy(reference)
            reports.keyDestroyed(role, reference, failure: nil)
            return true
        } catch {
            reports.keyDestroyed(role, reference, failure: error.description)
            return false
        }
    }
}
