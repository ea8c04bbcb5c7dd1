import COpenSSL
import Glibc

/// One immutable generation of TLS settings: identity, trust, versions, protocols. Sessions keep it alive.
package final class TLSContext: Sendable {
    /// OpenSSL's counted `SSL_CTX`; never changed after `init`.
    nonisolated(unsafe) let pointer: OpaquePointer
    /// Of several, the one that is shown to who asks for no name.
    package let identity: TLSIdentity?
    /// Where a client's choice of name matters; servers only.
    let named: NamedIdentities?
    package let trust: TrustAnchors?
    package let isServer: Bool
    /// What the session's `SSL` is told to ask for and to verify; clients only.
    let serverName: String?
    let verifiesPeer: Bool
    /// OpenSSL's `OSSL_LIB_CTX`, which lives as long as the process; nil: its default one.
    nonisolated(unsafe) let library: OpaquePointer?
    /// Of a server that resumes sessions; nil: each handshake is a full one.
    let ticketKeys: TicketKeys?
    private let protocols: ApplicationProtocols?
    let certificates = CertificateCache()
    let verifiedChains = VerifiedChains()

    private init(
        adopting pointer: OpaquePointer, identity: TLSIdentity?, named: NamedIdentities? = nil, trust: TrustAnchors?,
        isServer: Bool, serverName: String?, protocols: ApplicationProtocols?,
        library: OpaquePointer? = nil, ticketKeys: TicketKeys? = nil
    ) {
        self.pointer = pointer
        self.identity = identity
        self.named = named
        self.trust = trust
        self.isServer = isServer
        self.serverName = serverName
        self.protocols = protocols
        self.library = library
        self.ticketKeys = ticketKeys
        verifiesPeer = trust != nil
    }

    deinit { SSL_CTX_free(pointer) }

    /// Demands and verifies a client's certificate.
    ///
    /// A client that offers application protocols, but none of ours, is refused; one that offers none is accepted,
    /// and `TLSSession.applicationProtocol` is nil. `others`: shown to clients that ask for a name of theirs.
    /// `refusesUnknownNames`: a client that asks for no name, or for one that no certificate has, gets an alert.
    /// `ticketKeys`: sessions that have a mark are resumed by tickets under these.
    package static func server(
        identity: TLSIdentity, others: [TLSIdentity] = [], refusesUnknownNames: Bool = false, trust: TrustAnchors,
        minimum: TLSVersion = .tls12, maximum: TLSVersion = .tls13, applicationProtocols: [String] = [],
        algorithms: AlgorithmSelection = .all, ticketKeys: TicketKeys? = nil
    ) throws(OpenSSLError) -> TLSContext {
        let protocols = try wireFormat(applicationProtocols)
        let isChosen = !others.isEmpty || refusesUnknownNames
        let named =
            isChosen ? NamedIdentities([identity] + others, refusesUnknownNames: refusesUnknownNames) : nil
        let pointer = try make(TLS_server_method(), algorithms.library) { (context) throws(OpenSSLError) in
            try TLSPolicy.limit(context, minimum: minimum, maximum: maximum)
            try identity.apply(to: context)
            try PeerVerification.install(in: context, trust: trust, purpose: .client)
            KeyUpdateBudget.install(in: context)
            try trust.nameAuthorities(in: context)
            protocols?.install(asServer: context)
            if named != nil { NamedIdentities.install(in: context) }
            if ticketKeys != nil { try SessionTickets.install(in: context) }
        }
        return TLSContext(
            adopting: pointer, identity: identity, named: named, trust: trust, isServer: true, serverName: nil,
            protocols: protocols, library: algorithms.library, ticketKeys: ticketKeys)
    }

    /// Whether what holds the private key can be asked; of several keys, all of them.
    package var isKeyAvailable: Bool {
        let all = named?.identities ?? identity.map { [$0] } ?? []
        return all.allSatisfy { $0.key.holder?.isAvailable ?? true }
    }

    /// What a server shows, and to who asks for which names; the first also to everybody else.
    package var shown: [(certificate: Certificate, names: [String])] {
        guard let named else { return identity.map { [($0.leaf, $0.leaf.dnsNames)] } ?? [] }
        return named.identities.enumerated().map { ($1.leaf, named.names(of: $0)) }
    }

    /// Without `trust` the server is not verified. `serverName` (a name or a literal address) must stand in the
    /// server's certificate; a name is also sent (SNI).
    package static func client(
        identity: TLSIdentity?, trust: TrustAnchors?, serverName: String?, minimum: TLSVersion = .tls12,
        maximum: TLSVersion = .tls13, applicationProtocols: [String] = []
    ) throws(OpenSSLError) -> TLSContext {
        let protocols = try wireFormat(applicationProtocols)
        let pointer = try make(TLS_client_method(), nil) { (context) throws(OpenSSLError) in
            try TLSPolicy.limit(context, minimum: minimum, maximum: maximum)
            try identity?.apply(to: context)
            if let trust { try PeerVerification.install(in: context, trust: trust, purpose: .server) }
            if trust == nil { SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil) }
            if let serverName, trust != nil {
                try PeerVerification.expect(serverName, in: SSL_CTX_get0_param(context))
            }
            protocols?.install(asClient: context)
        }
        return TLSContext(
            adopting: pointer, identity: identity, trust: trust, isServer: false, serverName: serverName,
            protocols: protocols)
    }

    private static func wireFormat(_ names: [String]) throws(OpenSSLError) -> ApplicationProtocols? {
        if names.isEmpty { return nil }
        guard let protocols = ApplicationProtocols(names) else {
            throw OpenSSLError("set the application protocols", "a name is empty or too long")
        }
        return protocols
    }

    private static func make(
        _ method: OpaquePointer?, _ library: OpaquePointer?,
        configure: (OpaquePointer) throws(OpenSSLError) -> Void
    ) throws(OpenSSLError) -> OpaquePointer {
        let pointer: OpaquePointer = try openSSL("make a TLS context") { SSL_CTX_new_ex(library, nil, method) }
        do throws(OpenSSLError) {
            try TLSPolicy.apply(to: pointer)
            try TLSPolicy.forbidResumption(pointer)
            TLSPolicy.setSessionModes(pointer)
            try configure(pointer)
        } catch {
            SSL_CTX_free(pointer)
            throw error
        }
        return pointer
    }
}
