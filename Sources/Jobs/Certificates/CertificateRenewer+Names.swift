import IO
import OpenSSL

extension CertificateRenewer {
    /// From now on these roles are called so, and others as the configuration says. What is in service under other
    /// names is renewed, and stays until it is.
    package func adopt(names new: [String: RoleNames]) {
        guard new != names else { return }
        names = new
        for certificate in managed where !certificate.isNode {
            if certificate.machine.phase(at: now) == .pending, !isDraftWanted(of: certificate) {
                certificate.machine.deferralGivenUp()
                reports.clear(role: certificate.role)
                certificate.alarm.ring()
            }
            guard let wish = wish(for: certificate), let leaf = certificate.stored?.identity.leaf,
                wish.difference(from: leaf) != nil
            else { continue }
            certificate.machine.renewalDemanded()
            certificate.alarm.ring()
        }
    }

    /// nil: the cluster is not known yet.
    func wish(for certificate: ManagedCertificate, cluster known: String? = nil) -> CertificateWish? {
        guard let cluster = known ?? trust?.membership.cluster else { return nil }
        if certificate.isNode { return .identity(of: configuration.node, in: cluster) }
        for role in configuration.roles where role.name == certificate.role {
            guard case .enrolled(let dnsNames, let addresses, let uris, let server, let client) = role.source else {
                continue
            }
            let names = names[role.name] ?? RoleNames(dnsNames: dnsNames, addresses: addresses, uris: uris)
            return CertificateWish(
                commonName: configuration.node, organization: cluster, dnsNames: names.dnsNames,
                addresses: names.addresses, uris: names.uris, server: server, client: client)
        }
        return nil
    }
}
