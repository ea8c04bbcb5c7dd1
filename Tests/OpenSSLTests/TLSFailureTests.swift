import Testing

@testable import OpenSSL

@Suite struct `A failure of TLS` {
    /// SSL_R_* of an alert is 1000 and the alert's number; ERR_R_* lie far above.
    @Test(arguments: [
        (1000, TLSFailure.Kind.peerAlert), (1042, .peerAlert), (1255, .peerAlert), (1256, .other), (786_691, .other),
    ])
    func `is the peer's alert only where it is one`(reason: Int, kind: TLSFailure.Kind) {
        let librarySSL: Int32 = 20
        let entries = [ErrorStack.Entry(library: librarySSL, reason: Int32(reason), text: "internal error")]
        #expect(TLSFailure(entries, verification: nil).kind == kind)
    }
}
