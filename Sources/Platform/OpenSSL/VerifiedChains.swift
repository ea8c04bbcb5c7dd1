import COpenSSL
import Synchronization

/// Chains that a server has verified under one generation of trust: a client that comes again costs no second
/// verification of its authorities' signatures.
///
/// Its own signature, which proves that it has the key, is part of each handshake, and so are our own rules for leaves
/// and the trust's revocation lists. A verdict counts only while each certificate of the chain is valid. Owned by one
/// `TLSContext`, so that it is gone with its trust; safe from any lane.
final class VerifiedChains: Sendable {
    /// SHA-256 over everything that the peer has sent.
    typealias Key = [UInt8]

    private struct Entry {
        /// Leaf first, anchor last.
        let chain: [Certificate]
        let validity: ClosedRange<Int64>
    }

    /// In two halves: of the older one, what is asked for again moves to the newer; the rest is forgotten when that is
    /// full.
    private struct Halves {
        var newer: [Key: Entry] = [:]
        var older: [Key: Entry] = [:]
    }

    /// About 10 KiB each.
    static let limit = 1024

    private let halves = Mutex(Halves())

    var count: Int { halves.withLock { $0.newer.count + $0.older.count } }

    func chain(_ key: Key, at unixSeconds: Int64) -> [Certificate]? {
        halves.withLock { halves in
            if let entry = halves.newer[key] {
                if entry.validity.contains(unixSeconds) { return entry.chain }
                halves.newer[key] = nil
            } else if let entry = halves.older.removeValue(forKey: key), entry.validity.contains(unixSeconds) {
                Self.add(entry, key, to: &halves)
                return entry.chain
            }
            return nil
        }
    }

    func remember(_ chain: [Certificate], _ key: Key) {
        guard let begin = chain.map(\.notBefore).max(), let end = chain.map(\.notAfter).min(), begin <= end else {
            return
        }
        halves.withLock { Self.add(Entry(chain: chain, validity: begin...end), key, to: &$0) }
    }

    private static func add(_ entry: Entry, _ key: Key, to halves: inout Halves) {
        if halves.newer.count >= limit / 2 {
            halves.older = halves.newer
            halves.newer = [:]
        }
        halves.newer[key] = entry
    }

    /// Of the `X509`s that a peer has sent, leaf first.
    static func key(_ sent: [OpaquePointer]) -> Key? {
        let digest = Digest.SHA256()
        for certificate in sent {
            guard let der = encoded({ i2d_X509(certificate, $0) }) else { return nil }
            // DER says where it ends: no two lists give the same bytes.
            digest.update(der)
        }
        return digest.finish()
    }

    /// Makes `chain` the outcome of a verification that did not take place.
    static func adopt(_ chain: [Certificate], in store: OpaquePointer) -> Bool {
        guard let stack = COpenSSL_sk_X509_new() else { return false }
        for certificate in chain {
            X509_up_ref(certificate.pointer)
            guard COpenSSL_sk_X509_push(stack, certificate.pointer) > 0 else {
                X509_free(certificate.pointer)
                COpenSSL_sk_X509_pop_free(stack)
                return false
            }
        }
        X509_STORE_CTX_set0_verified_chain(store, stack)
        X509_STORE_CTX_set_error(store, X509_V_OK)
        return true
    }
}
