import OpenSSL
import Synchronization

/// How many verified peers each issuer has certified, by its key, counted on all lanes. Those that no longer
/// fit are not counted: a listener has few authorities.
final class IssuerCounts: Sendable {
    static let limit = 64

    private let counts = Mutex<[[UInt8]: UInt64]>([:])

    /// `chain`: verified, the leaf first.
    func verified(_ chain: [Certificate]) {
        guard chain.count > 1 else { return }
        let key = chain[1].publicKeySHA256
        counts.withLock { counts in
            guard counts[key] != nil || counts.count < Self.limit else { return }
            counts[key, default: 0] += 1
        }
    }

    /// By SHA-256 of the issuer's SubjectPublicKeyInfo.
    var values: [[UInt8]: UInt64] { counts.withLock { $0 } }
}
