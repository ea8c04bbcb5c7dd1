import IO
import OpenSSL

extension CertificateRenewer {
    /// From now on these roles are called so, and others as the configuration says. What is in service under other names
    /// is renewed, and stays until it is.
    package func adopt(names new: [String: RoleNames]) {
        guard new != names else { return }
        names = new
        for certificate in managed where !certificate.isNode {
            guard let wish = wish(for: certificate), let leaf = certificate.stored?.identity.leaf,
                wish.difference(from: leaf) != nil
            else { continue }
            certificate.machine.renewalDemanded()
            certificate.alarm.ring()
        }
    }
}
