import Foundation

/// A root and an intermediate authority, made at run time with the `openssl` program in a temporary folder.
///
/// Everything that it issues lies in the same folder, and is removed with the authority's last reference.
package final class TestAuthority: Sendable {
    package enum Issuer: Sendable { case root, intermediate, identity(TestIdentity), itself }

    package let folder: TemporaryDirectory
    package let root: TestIdentity
    package let intermediate: TestIdentity

    /// PEM of the root alone: what peers of this authority trust.
    package var trustPath: String { root.certificatePath }

    package init(name: String = "Test") throws {
        folder = try TemporaryDirectory(prefix: "authority")
        root = try Self.make(
            .authority(name: "\(name) Root"), signer: nil, in: folder)
        intermediate = try Self.make(
            .authority(name: "\(name) Intermediate", pathLength: 0), signer: root, in: folder)
    }

    /// A leaf for `name`, issued by the intermediate, valid from an hour ago to in a day, unless told otherwise.
    package func issue(
        name: String?, organization: String? = nil, organizationalUnit: String? = nil, dnsNames: [String] = [],
        addresses: [String] = [], uris: [String] = [], emails: [String] = [],
        usage: [TestCertificate.Usage] = [.client], validity: ClosedRange<Double>? = nil, isAuthority: Bool = false,
        pathLength: Int? = nil, key: TestCertificate.Key = .ecP256, extensions: [String: String?] = [:],
        by issuer: Issuer = .intermediate
    ) throws -> TestIdentity {
        var certificate = TestCertificate(
            commonName: name, organization: organization, organizationalUnit: organizationalUnit,
            dnsNames: dnsNames, addresses: addresses, uris: uris, emails: emails, usage: usage,
            isAuthority: isAuthority, pathLength: pathLength, key: key, extensions: extensions)
        if let validity { certificate.validity = validity }
        switch issuer {
        case .root: return try Self.make(certificate, signer: root, in: folder)
        case .intermediate: return try Self.make(certificate, signer: intermediate, in: folder)
        case .identity(let signer): return try Self.make(certificate, signer: signer, in: folder)
        case .itself: return try Self.make(certificate, signer: nil, in: folder)
        }
    }

    /// A server's leaf for localhost and 127.0.0.1.
    package func server(name: String = "localhost") throws -> TestIdentity {
        try issue(name: name, dnsNames: [name], addresses: ["127.0.0.1", "::1"], usage: [.server, .client])
    }

    /// A client's leaf.
    package func client(name: String = "client") throws -> TestIdentity {
        try issue(name: name, usage: [.client])
    }

    /// Clients of one key and one name whose certificates differ in their serial number, made in one go.
    package func clients(_ count: Int, name: String = "client") throws -> [TestIdentity] {
        if count == 0 { return [] }
        let first = try client(name: name)
        let base = URL(fileURLWithPath: first.certificatePath).deletingLastPathComponent().path
        let issued = "\(base)/issued"
        try FileManager.default.createDirectory(atPath: issued, withIntermediateDirectories: false)
        try Subprocess.check(
            "openssl",
            [
                "ca", "-batch", "-notext", "-config", "\(base)/openssl.cnf", "-extensions", "extensions", "-days", "1",
                "-cert", intermediate.certificatePath, "-keyfile", intermediate.keyPath, "-outdir", issued, "-infiles",
            ] + Array(repeating: "\(base)/request.pem", count: count), within: 120)
        let above = try String(contentsOfFile: intermediate.certificatePath, encoding: .utf8)
        return try FileManager.default.contentsOfDirectory(atPath: issued).map { file in
            let path = "\(issued)/\(file)"
            let chain = "\(path).chain"
            try Data((String(contentsOfFile: path, encoding: .utf8) + above).utf8)
                .write(to: URL(fileURLWithPath: chain))
            return TestIdentity(
                certificatePath: path, keyPath: first.keyPath, chainPath: chain, rootPath: first.rootPath,
                owner: folder)
        }
    }

    private static func make(
        _ certificate: TestCertificate, signer: TestIdentity?, in folder: TemporaryDirectory
    ) throws -> TestIdentity {
        let base = folder.file(UUID().uuidString)
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: false)
        let identity = TestIdentity(
            certificatePath: "\(base)/certificate.pem", keyPath: "\(base)/key.pem", chainPath: "\(base)/chain.pem",
            rootPath: signer?.rootPath ?? "\(base)/certificate.pem", owner: folder)
        try Data(certificate.configuration(isSelfSigned: signer == nil, folder: base).utf8)
            .write(to: URL(fileURLWithPath: "\(base)/openssl.cnf"))
        for (name, text) in ["index.txt": "", "index.txt.attr": "unique_subject = no\n"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(base)/\(name)"))
        }
        try Subprocess.check(
            "openssl",
            ["req", "-new", "-nodes", "-config", "\(base)/openssl.cnf", "-keyout", identity.keyPath]
                + certificate.key.arguments + (certificate.hasSubject ? [] : ["-subj", "/"]) + [
                    "-out", "\(base)/request.pem",
                ])
        let signature =
            signer.map { ["-cert", $0.certificatePath, "-keyfile", $0.keyPath] }
            ?? ["-selfsign", "-keyfile", identity.keyPath]
        try Subprocess.check(
            "openssl",
            ["ca", "-batch", "-notext", "-config", "\(base)/openssl.cnf", "-extensions", "extensions"] + signature
                + certificate.dates + ["-in", "\(base)/request.pem", "-out", identity.certificatePath])
        var chain = try String(contentsOfFile: identity.certificatePath, encoding: .utf8)
        if let signer, signer.certificatePath != signer.rootPath {
            chain += try String(contentsOfFile: signer.chainPath, encoding: .utf8)
        }
        try Data(chain.utf8).write(to: URL(fileURLWithPath: identity.chainPath))
        return identity
    }
}

/// A certificate and its key in files; keeps their folder alive.
package struct TestIdentity: Sendable {
    package let certificatePath: String
    package let keyPath: String
    /// The certificate and the intermediates above it, without the root.
    package let chainPath: String
    package let rootPath: String
    private let owner: TemporaryDirectory

    fileprivate init(
        certificatePath: String, keyPath: String, chainPath: String, rootPath: String, owner: TemporaryDirectory
    ) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
        self.chainPath = chainPath
        self.rootPath = rootPath
        self.owner = owner
    }

    package var certificatePEM: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: certificatePath))) }
    }
    package var chainPEM: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: chainPath))) }
    }
}
