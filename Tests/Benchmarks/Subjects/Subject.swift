import IO
import TestSupport

/// What is measured: a running program, or for scale the backend itself.
struct Subject: Sendable {
    let name: String
    /// nil: there is nothing between client and backend.
    let process: Subprocess?
    let address: SocketAddress

    var processIdentifier: Int32? { process?.identifier }
}

/// The files that all subjects of a run share: one authority, one server certificate, one client certificate.
struct Scenery: Sendable {
    let folder: TemporaryDirectory
    let authority: TestAuthority
    let server: TestIdentity
    let client: TestIdentity
    let backend: SocketAddress

    static let clientName = "benchmark-client"

    init(backend: SocketAddress) throws {
        self.backend = backend
        folder = try temporaryDirectory()
        authority = try TestAuthority(name: "Benchmark")
        server = try authority.server()
        client = try authority.client(name: Self.clientName)
    }

    func direct() -> Subject { Subject(name: "direct", process: nil, address: backend) }
}
