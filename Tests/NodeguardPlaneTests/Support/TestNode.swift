import Foundation
import PlaneAPI
import Testing

/// A node's key and certificate in files, made with OpenSSL's own tools: a second opinion on everything the plane
/// encodes.
struct TestNode {
    let plane: RunningPlane
    let cluster: String
    let name: String
    let keyFile: String
    let certificateFile: String
    /// The certificate and its issuer, as curl shows them.
    let chainFile: String

    init(_ plane: RunningPlane, cluster: String = "alpha", _ name: String, keyKind: KeyKind = .p256) throws {
        self.plane = plane
        self.cluster = cluster
        self.name = name
        let base = plane.folder + "/\(cluster)-\(name)-\(UUID().uuidString.prefix(8))"
        keyFile = base + ".key"
        certificateFile = base + ".crt"
        chainFile = base + ".chain"
        try Shell.succeed(["openssl", "genpkey"] + keyKind.words + ["-out", keyFile])
    }

    enum KeyKind: String, CaseIterable {
        case p256, p384, p521, rsa3072, rsa2048, ed25519

        var words: [String] {
            switch self {
            case .p256: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
            case .p384: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]
            case .p521: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]
            case .rsa3072: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"]
            case .rsa2048: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
            case .ed25519: ["-algorithm", "ED25519"]
            }
        }
    }

    /// A node that has joined.
    static func enrolled(_ plane: RunningPlane, cluster: String = "alpha", _ name: String) throws -> TestNode {
        let node = try TestNode(plane, cluster: cluster, name)
        let token = try plane.bundle(cluster: cluster, node: name).token
        let answer = try node.enroll(token: token)
        try #require(answer.status == 200, "\(answer.text)")
        try node.keep(answer)
        return node
    }

    var usualSubject: String { "/O=\(cluster)/CN=\(name)" }
    var usualNames: String { "subjectAltName=DNS:\(name),URI:spiffe://\(cluster)/node/\(name)" }

    /// PKCS#10 in DER.
    func request(subject: String? = nil, extensions: [String]? = nil, digest: String = "-sha256") throws -> Data {
        let added = (extensions ?? [usualNames, "extendedKeyUsage=clientAuth"]).flatMap { ["-addext", $0] }
        return try Shell.succeed(
            ["openssl", "req", "-new", digest, "-key", keyFile, "-subj", subject ?? usualSubject, "-outform", "DER"]
                + added
        ).standardOutput
    }

    func enroll(
        _ request: Data? = nil, at plane: RunningPlane? = nil, label: String? = nil, token: String? = nil,
        as identity: TestNode? = nil, operation: EST.Operation = .enroll
    ) throws -> RunningPlane.Answer {
        let body = try (request ?? self.request()).base64EncodedData(options: [.lineLength64Characters])
        return try (plane ?? self.plane).call(
            "POST", EST.path(label: label ?? cluster, operation: operation), body: body, type: "application/pkcs10",
            as: identity, token: token)
    }

    /// Writes what was issued into the node's files, read by OpenSSL.
    func keep(_ answer: RunningPlane.Answer) throws {
        let der = try #require(Data(base64Encoded: answer.body, options: .ignoreUnknownCharacters))
        try Shell.succeed(
            ["openssl", "pkcs7", "-inform", "DER", "-print_certs", "-out", certificateFile], input: der)
        let authorities = try plane.call("GET", EST.path(label: cluster, operation: .authorities))
        let bag = try #require(Data(base64Encoded: authorities.body, options: .ignoreUnknownCharacters))
        let issuers = try Shell.succeed(["openssl", "pkcs7", "-inform", "DER", "-print_certs"], input: bag).text
        let own = try String(contentsOfFile: certificateFile, encoding: .utf8)
        try (own + issuers).write(toFile: chainFile, atomically: true, encoding: .utf8)
    }

    func field(_ option: String...) throws -> String {
        try Shell.succeed(["openssl", "x509", "-in", certificateFile, "-noout"] + option).line
    }

    var serial: String {
        get throws { String(try field("-serial").dropFirst("serial=".count)) }
    }
}
