import COpenSSL
import Synchronization

/// Certificates of verified chains that were shown lately, read once: a client that comes again costs no second
/// strict reading, and its connections share one copy. Remembers no verdict: each handshake verifies anew. Owned by
/// one `TLSContext`; safe from any lane.
final class CertificateCache: Sendable {
    /// A few MiB; beyond it all are forgotten, and read again as they come.
    static let limit = 512

    private let known = Mutex<[[UInt8]: Certificate]>([:])

    /// The certificate with the very bytes of this one.
    func certificate(_ pointer: OpaquePointer) throws(OpenSSLError) -> Certificate {
        guard let der = encoded({ i2d_X509(pointer, $0) }) else {
            throw OpenSSLError(stackAfter: "read a certificate")
        }
        let fingerprint = Digest.sha256(der)
        if let found = known.withLock({ $0[fingerprint] }) { return found }
        let certificate = try Certificate(sharing: pointer)
        known.withLock { known in
            if known.count >= Self.limit { known.removeAll() }
            known[fingerprint] = certificate
        }
        return certificate
    }

    var count: Int { known.withLock { $0.count } }
}
