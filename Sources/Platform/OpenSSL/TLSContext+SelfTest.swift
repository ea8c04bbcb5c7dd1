import COpenSSL
import Glibc
import IO

extension TLSContext {
    /// Shakes hands in memory with a reference client, in each version that the server speaks, before the context is
    /// put into service: key, chain, dates and, if given, the name must satisfy a client that trusts `trust`.
    ///
    /// The client shows the server's own certificate, so that the server reads one and checks its holder's signature.
    /// Whether clients are let in is not what is tested here.
    package static func selfTest(
        _ server: TLSContext, trust: TrustAnchors, serverName: String? = nil
    ) throws(OpenSSLError) {
        precondition(server.isServer)
        let minimum = SSL_CTX_ctrl(server.pointer, SSL_CTRL_GET_MIN_PROTO_VERSION, 0, nil)
        for version in TLSVersion.allCases where Int(version.number) >= minimum {
            let client = try TLSContext.client(
                identity: server.identity, trust: trust, serverName: serverName, minimum: version, maximum: version)
            try shakeHands(server, client, version)
        }
    }

    private static func shakeHands(
        _ serverContext: TLSContext, _ clientContext: TLSContext, _ version: TLSVersion
    ) throws(OpenSSLError) {
        let upward = LaneBuffer(capacity: 64 << 10)
        let downward = LaneBuffer(capacity: 64 << 10)
        let server = TLSSession(
            serverContext, TLSTransport(cipherIn: upward, cipherOut: downward), isSelfTest: true)
        let client = TLSSession(clientContext, TLSTransport(cipherIn: downward, cipherOut: upward))
        // A handshake takes three rounds at most.
        for _ in 0..<8 {
            let outcomes = [client.handshake(), server.handshake()]
            for case .failed(let failure) in outcomes {
                throw OpenSSLError("test the new certificate in a \(version.rawValue) handshake", failure.detail)
            }
            if outcomes == [.finished, .finished] { return }
        }
        throw OpenSSLError("test the new certificate in a \(version.rawValue) handshake", "it does not end")
    }
}
