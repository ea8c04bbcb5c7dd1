import Foundation
import IO
import TestSupport

/// What is measured: a running program, or for scale the backend itself.
struct Subject: Sendable {
    let name: String
    /// nil: there is nothing between client and backend.
    let process: Subprocess?
    let address: SocketAddress
    /// nil: it is made to do every work.
    var works: Set<Work.Kind>?

    var processIdentifier: Int32? { process?.identifier }

    init(_ name: String, _ process: Subprocess?, port: Int, works: Set<Work.Kind>? = nil) {
        self.init(name, process, .ipv4([127, 0, 0, 1], port: UInt16(port)), works: works)
    }

    init(_ name: String, _ process: Subprocess?, _ address: SocketAddress, works: Set<Work.Kind>? = nil) {
        self.name = name
        self.process = process
        self.address = address
        self.works = works
    }

    func does(_ kind: Work.Kind) -> Bool { works?.contains(kind) ?? (process != nil || kind.isPossibleDirectly) }
}

/// The files that all subjects of a run share: one authority, one server certificate, one client certificate.
struct Scenery: Sendable {
    let folder: TemporaryDirectory
    let authority: TestAuthority
    let server: TestIdentity
    let client: TestIdentity
    let backend: SocketAddress
    /// Certificate, intermediates and key in one file, as HAProxy and hitch want them.
    let bundle: String

    static let clientName = "benchmark-client"

    init(backend: SocketAddress) throws {
        self.backend = backend
        folder = try temporaryDirectory()
        authority = try TestAuthority(name: "Benchmark")
        server = try authority.server()
        client = try authority.client(name: Self.clientName)
        let key = Array(try Data(contentsOf: URL(fileURLWithPath: server.keyPath)))
        bundle = try folder.write(server.chainPEM + key, to: "bundle.pem")
    }

    func direct() -> Subject { Subject("direct", nil, backend) }
}
