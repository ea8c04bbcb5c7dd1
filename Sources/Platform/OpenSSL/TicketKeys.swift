import COpenSSL
import Synchronization

/// The keys that seal the session tickets of one server, with which its clients resume: AES-256-CBC, then HMAC-SHA-256
/// (RFC 5077 §4), the only form that OpenSSL 3 has a callback for.
///
/// Made here, never written anywhere and gone with the process: what was sealed before a restart opens no more. Safe
/// from any lane.
package final class TicketKeys: Sendable {
    private struct Key {
        static let nameCount = 16
        static let cipherCount = 32
        static let macCount = 32

        /// Stands in clear before what it seals.
        let name = secureRandom(nameCount)
        let secret = SecretReference(SecretBytes(random: cipherCount + macCount))
    }

    private struct Keys {
        var machine: TicketKeyStateMachine
        var current = Key()
        var previous: Key?

        mutating func rotate(at time: Duration) {
            switch machine.timePassed(to: time) {
            case .keep: return
            case .rotate: previous = current
            case .replaceBoth: previous = nil
            }
            current = Key()
        }
    }

    private let keys: Mutex<Keys>
    private let clock: @Sendable () -> Duration

    package convenience init() {
        let origin = ContinuousClock.now
        self.init { ContinuousClock.now - origin }
    }

    /// `clock`: the time since some beginning; never goes back.
    package init(clock: @escaping @Sendable () -> Duration) {
        self.clock = clock
        // Not for the first time in a handshake, whose library context may not have it.
        _ = Algorithms.aes256CBC
        keys = Mutex(Keys(machine: TicketKeyStateMachine(at: clock())))
    }

    /// Each use looks at the clock as well. Called now and then, it wipes in time what nobody uses.
    package func rotate() {
        let now = clock()
        keys.withLock { $0.rotate(at: now) }
    }

    private var sealing: Key {
        let now = clock()
        return keys.withLock { keys in
            keys.rotate(at: now)
            return keys.current
        }
    }

    private func opening(_ name: UnsafePointer<UInt8>) -> (key: Key, isCurrent: Bool)? {
        let now = clock()
        let (current, previous) = keys.withLock { keys in
            keys.rotate(at: now)
            return (keys.current, keys.previous)
        }
        func isNamed(_ key: Key) -> Bool {
            key.name.elementsEqual(UnsafeBufferPointer(start: name, count: Key.nameCount))
        }
        if isNamed(current) { return (current, true) }
        return previous.flatMap { isNamed($0) ? ($0, false) : nil }
    }

    // MARK: OpenSSL's callback

    static func install(in context: OpaquePointer) throws(OpenSSLError) {
        try openSSL("set up session tickets", isOne: { SSL_CTX_set_tlsext_ticket_key_evp_cb(context, provide) })
    }

    /// SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 is yes, 2 yes with a new ticket, 0 no, and -1 ends the handshake.
    private static let provide:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?, OpaquePointer?,
            Int32
        ) -> Int32 = { ssl, name, iv, cipher, mac, isSealing in
            guard let session = TLSSession.owner(of: ssl), let keys = session.context.ticketKeys, let name, let iv
            else {
                return -1
            }
            if isSealing == 1 {
                // Without a verified client there is nothing to resume: TLS 1.2 has an empty ticket for that (RFC 5077
                // §3.3), and in TLS 1.3 none was to be sent.
                guard session.ticketClaims != nil else { return session.isTLS13 ? -1 : 0 }
                let key = keys.sealing
                name.update(from: key.name, count: Key.nameCount)
                guard RAND_bytes(iv, Int32(EVP_CIPHER_get_iv_length(Algorithms.aes256CBC))) == 1 else { return -1 }
                return use(key, iv, cipher, mac, EVP_EncryptInit_ex2) ? 1 : -1
            }
            guard session.mayShowTicket, let (key, isCurrent) = keys.opening(name) else { return 0 }
            guard use(key, iv, cipher, mac, EVP_DecryptInit_ex2) else { return -1 }
            return isCurrent ? 1 : 2
        }

    private typealias Begin = (
        OpaquePointer?, OpaquePointer?, UnsafePointer<UInt8>?, UnsafePointer<UInt8>?, UnsafePointer<OSSL_PARAM>?
    ) -> Int32

    private static func use(
        _ key: Key, _ iv: UnsafePointer<UInt8>, _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ begin: Begin
    ) -> Bool {
        key.secret.withSecret { secret in
            secret.withUnsafeBytes { bytes in
                guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
                return begin(cipher, Algorithms.aes256CBC, start, iv, nil) == 1
                    && COpenSSL_HMAC_init(mac, "SHA256", start + Key.cipherCount, Key.macCount) == 1
            }
        }
    }
}
