import COpenSSL
import Glibc

/// How often a peer may replace its key: each KeyUpdate costs a key derivation, and none carries data.
///
/// RFC 8446 §4.6.3 sets no limit; a sound peer replaces its key once in millions of records. But Java's, once it has
/// read as much as one key may protect, asks for a new one again with each record until ours arrives (JSSE's
/// `SSLSocketImpl.tryKeyUpdate`), and ours comes behind all that is under way: Linux lets 4 MiB wait to be sent and
/// 6 MiB to be read, which is 640 records.
struct KeyUpdateBudget {
    static let perSecond = 100
    static let atOnce = 1000
    static let failure = TLSFailure(
        .keyUpdateFlood, "more than \(atOnce) key updates at once, or more than \(perSecond) a second")

    private(set) var isExceeded = false
    private var second = 0
    private var left = atOnce

    mutating func arrived(atSecond now: Int) {
        if now > second {
            // Whatever a clock says: no product overflows, and the first one finds all of them left.
            left = min(Self.atOnce, left + Self.perSecond * min(now - second, Self.atOnce))
            second = now
        }
        left -= 1
        if left < 0 { isExceeded = true }
    }

    /// Has the sessions of a server told of each KeyUpdate that they receive.
    static func install(in context: OpaquePointer) { SSL_CTX_set_msg_callback(context, watch) }

    private static let watch:
        @convention(c) (
            Int32, Int32, Int32, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?
        ) -> Void = { isWritten, _, contentType, bytes, count, ssl, _ in
            guard contentType == SSL3_RT_HANDSHAKE, isWritten == 0, count > 0, let bytes, let ssl,
                Int32(bytes.load(as: UInt8.self)) == SSL3_MT_KEY_UPDATE, let session = TLSSession.owner(of: ssl)
            else { return }
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
            session.keyUpdateArrived(atSecond: now.tv_sec)
        }
}
