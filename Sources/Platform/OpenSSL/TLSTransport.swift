import COpenSSL
import Glibc
import IO

/// The two ciphertext buffers of a lane as OpenSSL sees them: one BIO, shared by all sessions of the lane.
///
/// # Concurrency model
/// It belongs to the one lane that owns the buffers, and so do the sessions attached to it at the moment. It is
/// `Sendable` only because a session that refers to it must be able to leave for another lane, which
/// `TLSSession.detach` makes possible: nothing but the owner's lane may call an attached session.
package final class TLSTransport: Sendable {
    /// What came from the network; OpenSSL takes from its start.
    package nonisolated(unsafe) let cipherIn: LaneBuffer
    /// What must go to the network; OpenSSL appends.
    package nonisolated(unsafe) let cipherOut: LaneBuffer
    nonisolated(unsafe) let bio: OpaquePointer
    /// The network has ended for the session that is being called: an empty `cipherIn` means the end, not "later".
    nonisolated(unsafe) var inputHasEnded = false

    /// `cipherOut` must hold a handshake's flight at least, else a handshake cannot go on.
    package init(cipherIn: LaneBuffer, cipherOut: LaneBuffer) {
        precondition(cipherOut.capacity >= 4096)
        OpenSSLLibrary.prepare()
        guard let bio = BIO_new(Self.method) else { preconditionFailure("out of memory") }
        self.cipherIn = cipherIn
        self.cipherOut = cipherOut
        self.bio = bio
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
    }

    /// Sessions keep their transport, so no `SSL` can refer to the BIO any more.
    deinit { BIO_free(bio) }

    /// Bytes of plaintext that surely fit into `cipherOut` as records, with room for an alert or a key update.
    var plainCapacity: Int {
        let free = cipherOut.freeCount - Self.reserve
        guard free > Self.recordOverhead else { return 0 }
        let records = (free + Self.recordLimit + Self.recordOverhead - 1) / (Self.recordLimit + Self.recordOverhead)
        return max(0, free - records * Self.recordOverhead)
    }

    /// TLS 1.3: 5 + 1 + 16; TLS 1.2: 5 + 8 + 16; a little more does not hurt.
    private static let recordOverhead = 64
    private static let recordLimit = 16 << 10
    private static let reserve = 256

    nonisolated(unsafe) private static let method: OpaquePointer = {
        let kind = BIO_get_new_index() | Int32(BIO_TYPE_SOURCE_SINK)
        guard let method = BIO_meth_new(kind, "lane") else { preconditionFailure("out of memory") }
        BIO_meth_set_read(method, readFromLane)
        BIO_meth_set_write(method, writeToLane)
        BIO_meth_set_ctrl(method, controlLane)
        return method
    }()

    fileprivate func take(_ destination: UnsafeMutablePointer<CChar>, limit: Int) -> Int {
        let count = min(limit, cipherIn.count)
        cipherIn.withReadableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            memcpy(destination, start, count)
        }
        cipherIn.consume(count)
        return count
    }

    fileprivate func put(_ source: UnsafePointer<CChar>, limit: Int) -> Int {
        let count = min(limit, cipherOut.freeCount)
        cipherOut.append(UnsafeRawBufferPointer(start: source, count: count))
        return count
    }

    fileprivate static func with<Result>(_ bio: OpaquePointer?, _ body: (TLSTransport) -> Result) -> Result? {
        guard let bio, let owner = BIO_get_data(bio) else { return nil }
        return Unmanaged<TLSTransport>.fromOpaque(owner)._withUnsafeGuaranteedRef(body)
    }
}

private let readFromLane: @convention(c) (OpaquePointer?, UnsafeMutablePointer<CChar>?, Int32) -> Int32 = {
    bio, destination, limit in
    COpenSSL_BIO_clear_retry_flags(bio)
    guard let destination, limit > 0 else { return 0 }
    return TLSTransport.with(bio) { lane in
        let count = lane.take(destination, limit: Int(limit))
        if count > 0 { return Int32(count) }
        if lane.inputHasEnded { return 0 }
        COpenSSL_BIO_set_retry_read(bio)
        return -1
    } ?? -1
}

private let writeToLane: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
    bio, source, limit in
    COpenSSL_BIO_clear_retry_flags(bio)
    guard let source, limit > 0 else { return 0 }
    return TLSTransport.with(bio) { lane in
        let count = lane.put(source, limit: Int(limit))
        if count > 0 { return Int32(count) }
        COpenSSL_BIO_set_retry_write(bio)
        return -1
    } ?? -1
}

private let controlLane: @convention(c) (OpaquePointer?, Int32, Int, UnsafeMutableRawPointer?) -> Int = {
    bio, command, _, _ in
    switch command {
    case BIO_CTRL_FLUSH, BIO_CTRL_DUP: return 1
    case BIO_CTRL_EOF: return TLSTransport.with(bio) { $0.inputHasEnded && $0.cipherIn.isEmpty ? 1 : 0 } ?? 1
    default: return 0
    }
}
