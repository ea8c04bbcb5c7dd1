import IO
import OpenSSL

/// A client of this node's own, at a tunnel's port: in clear, and nobody is asked for a certificate but the other end.
extension PendingConnection {
    /// `said`: a PostgreSQL client's StartupMessage, and whatever came with it.
    func carry(said: [UInt8]) {
        guard let caller = LocalCaller(socket, at: listener) else { return leave(.noPeerCertificate) }
        guard let (contexts, standing) = listener.admission, let remote = contexts.backend else {
            return refuse(.remoteDown, .noCertificateYet, request: said)
        }
        switch floor.house.admission.authenticated(id, as: nil) {
        case .admit: break
        case .refuse(let excess):
            let detail = excess.description
            return refuse(.tooManyConnections(detail), excess.reason, detail: detail, request: said)
        case .gone: return leave(.evicted)
        }
        detachFromLane()
        let connection = AuthorizedConnection(
            id: id, listener: listener, socket: socket, session: nil, admitted: .local(caller),
            generation: standing.generation, authorities: standing.authorities, backendSecurity: remote,
            startup: startup, early: said, unsent: leftovers.takeAll(), clientHasEnded: false)
        floor.house.reports.accepted(connection)
        floor.handedOver(id)
        floor.house.place(connection)
    }
}
