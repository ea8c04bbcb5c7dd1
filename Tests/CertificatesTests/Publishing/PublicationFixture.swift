import Foundation
import IO
import OpenSSL
import TestSupport

@testable import Certificates

/// A state folder with a role's certificate, and a folder for the files of others.
final class PublicationFixture: Sendable {
    let authority: TestAuthority
    let place: TemporaryDirectory

    init() throws {
        authority = try TestAuthority()
        place = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: statePath + "/publish", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        try TrustStore(stateDirectory: statePath).publish(
            StoredTrust(
                anchors: try authority.trust(),
                membership: Membership(url: "https://plane", cluster: "alpha", node: "db-1", pins: [])))
    }

    var statePath: String { place.path + "/state" }
    /// Without links: macOS and some build machines have one in the way to their temporary files.
    var directory: String { ((try? Files.realPath(place.path)) ?? place.path) + "/tls" }

    /// As the renewer puts it on the disk.
    @discardableResult
    func renew() throws -> TLSIdentity {
        let identity = try authority.server().tlsIdentity()
        _ = try CertificateStore(role: "database", stateDirectory: statePath).publish(identity, joinedWith: nil)
        return identity
    }

    var configuration: PublicationConfiguration {
        var configuration = PublicationConfiguration(
            directory: directory, names: .init(chain: "server.crt", key: "server.key", authorities: "root.crt"))
        configuration.reload = ["/bin/sh", "-c", "echo told >>\(place.path)/reloads"]
        return configuration
    }

    func role(_ configuration: PublicationConfiguration) -> RoleConfiguration {
        var role = Node.database
        role.publication = configuration
        return role
    }

    func publication(_ configuration: PublicationConfiguration? = nil) throws -> Publication {
        let made = Publication(role(configuration ?? self.configuration), stateDirectory: statePath)
        guard let made else { throw TestSupportError("the role is not published") }
        return made
    }

    /// How often the reload command ran.
    var reloads: Int { (try? place.read("reloads").count { $0 == 0x0A }) ?? 0 }

    /// The pair that lies there, read as a server would; throws if it is none.
    func pair() throws -> TLSIdentity {
        try TLSIdentity(
            chainFile: try Files.read(directory + "/server.crt", limit: 1 << 20), keyFile: directory + "/server.key")
    }

    func inode(_ name: String) throws -> UInt64 {
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")
        return (attributes[.systemFileNumber] as? NSNumber)?.uint64Value ?? 0
    }
}
