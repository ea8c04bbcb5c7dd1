import COpenSSL

/// A list of ALPN names in wire format, at an address that stays; owned by the context that offers it.
final class ApplicationProtocols: Sendable {
    nonisolated(unsafe) private let wire: UnsafeMutableBufferPointer<UInt8>

    /// nil for an empty list, or a name that is empty or longer than 255 bytes (RFC 7301 §3.1).
    init?(_ names: [String]) {
        guard !names.isEmpty, names.allSatisfy({ (1...255).contains($0.utf8.count) }) else { return nil }
        let bytes = names.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        wire = .allocate(capacity: bytes.count)
        _ = wire.initialize(from: bytes)
    }

    deinit { wire.deallocate() }

    /// The server's first choice that the client offers; a client that offers only others is refused with an alert,
    /// lest it speak one protocol to a server of another (RFC 7301 §3.2).
    func install(asServer context: OpaquePointer) {
        SSL_CTX_set_alpn_select_cb(
            context,
            { _, chosen, chosenCount, offered, offeredCount, argument in
                guard let argument, let chosen else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                return Unmanaged<ApplicationProtocols>.fromOpaque(argument)._withUnsafeGuaranteedRef { list in
                    var selected: UnsafeMutablePointer<UInt8>?
                    let result = SSL_select_next_proto(
                        &selected, chosenCount, list.wire.baseAddress, UInt32(list.wire.count), offered, offeredCount)
                    guard result == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                    chosen.pointee = UnsafePointer(selected)
                    return SSL_TLSEXT_ERR_OK
                }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    func install(asClient context: OpaquePointer) {
        // Answers 0 when it succeeds, unlike all its neighbours.
        let result = SSL_CTX_set_alpn_protos(context, wire.baseAddress, UInt32(wire.count))
        precondition(result == 0, "out of memory")
    }
}
