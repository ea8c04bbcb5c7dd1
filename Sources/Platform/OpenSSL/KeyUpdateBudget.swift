import COpenSSL
import Glibc

/// How often a peer may replace its key: each KeyUpdate costs a key derivation, and none carries data.
///
/// RFC 8446 §4.6.3 sets no limit; a sound peer replaces its key once in millions of records.
struct KeyUpdateBudget {
    static let perSecond = 100
    static let failure = TLSFailure(.keyUpdateFlood, "more than \(perSecond) key updates within a second")

    private(set) var isExceeded = false
    private var second = Int.min
    private var count = 0

    mutating func arrived(atSecond now: Int) {
        if now != second { (second, count) = (now, 0) }
        count += 1
        if count > Self.perSecond { isExceeded = true }
    }

    /// Has the sessions of a server told of each KeyUpdate that they receive.
    static func install(in context: OpaquePointer) { SSL_CTX_set_msg_callback(context, watch) }

    private static let watch:
        @convention(c) (
            Int32, Int32, Int32, UnsafeRawPointer?, Int, OpaquePointer?, UnsafeMutableRawPointer?
        ) -> Void = { isWritten, _, contentType, bytes, count, ssl, _ in
            guard contentType == SSL3_RT_HANDSHAKE, isWritten == 0, count > 0, let bytes, let ssl,
                Int32(bytes.load(as: UInt8.self)) == SSL3_MT_KEY_UPDATE, let owner = SSL_get_ex_data(ssl, 0)
            else { return }
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
            Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue().keyUpdateArrived(atSecond: now.tv_sec)
        }
}
