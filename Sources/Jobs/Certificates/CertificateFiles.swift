/// A certificate that someone else brings in two files, as they are now.
package enum CertificateFiles {
    /// Why no port could serve it; nil: one could. Blocks while it reads.
    package static func flaw(chain: String, key: String, at unixSeconds: Int64) -> String? {
        let file = FileCertificate(role: "", chainPath: chain, keyPath: key)
        guard case .unusable(let reason) = file.look(at: unixSeconds) else { return nil }
        return reason
    }
}
