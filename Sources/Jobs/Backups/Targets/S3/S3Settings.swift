import IO
import OpenSSL

/// An object store as a target, as the configuration describes it.
package struct S3Settings: Sendable, Equatable {
    /// Where the bucket's name stands in a URL.
    package enum Addressing: String, Sendable, CaseIterable {
        case path
        case virtualHost = "virtual-host"
    }

    /// What a store checks the bytes by. `aws` has CRC-32C for each part and conditional writes; `gcs` and `basic` have
    /// neither, so that the payload itself is signed, and a look at the name comes before a write.
    package enum Checksums: String, Sendable, CaseIterable { case aws, gcs, basic }

    package let bucket: String
    /// Without slashes at its ends; may be empty.
    package let prefix: String
    /// `https://host[:port]`, or `http://host[:port]` with `acknowledgesPlaintext`.
    package var endpoint: String
    package var region: String
    package var credentials: S3CredentialSource
    package var addressing: Addressing
    package var checksums: Checksums
    /// PEM; nil: the authorities that the system trusts.
    package var authorities: String?
    package var acknowledgesPlaintext = false
    /// Bytes a second, of all streams to this target together.
    package var bandwidth: Int?

    package init(
        bucket: String, prefix: String, endpoint: String? = nil, region: String, credentials: S3CredentialSource,
        addressing: Addressing? = nil, checksums: Checksums? = nil
    ) {
        (self.bucket, self.prefix, self.region, self.credentials) = (bucket, prefix, region, credentials)
        self.endpoint = endpoint ?? "https://s3.\(region).amazonaws.com"
        let host = endpoint.map { String($0.drop { $0 != "/" }.drop { $0 == "/" }) }
        // A certificate for *.HOST covers no bucket with a dot in its name.
        self.addressing = addressing ?? (endpoint == nil && !bucket.contains(".") ? .virtualHost : .path)
        self.checksums = checksums ?? (host == nil ? .aws : host == "storage.googleapis.com" ? .gcs : .basic)
    }

    var isPlaintext: Bool { endpoint.hasPrefix("http://") }
    var url: String { "s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix)") }

    private var authority: String { String(endpoint.drop { $0 != "/" }.drop { $0 == "/" }) }
    private var scheme: String { isPlaintext ? "http" : "https" }

    /// As libcurl writes it.
    var host: String {
        let defaultPort = isPlaintext ? ":80" : ":443"
        let host = addressing == .virtualHost ? "\(bucket).\(authority)" : authority
        return host.hasSuffix(defaultPort) ? String(host.dropLast(defaultPort.count)) : host
    }

    var origin: String { "\(scheme)://\(host)" }

    /// The path that is signed, of an object or of the bucket.
    func path(of key: String?) -> String {
        let bucket = addressing == .path ? "/\(bucket)" : ""
        return key.map { "\(bucket)/\($0)" } ?? (bucket.isEmpty ? "/" : bucket)
    }

    /// Of an object, from its path within the target.
    func key(of path: String) -> String { prefix.isEmpty ? path : "\(prefix)/\(path)" }

    private static let systemBundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]

    /// Whom the endpoint's certificate is judged by.
    func readTrust() throws(BackupError) -> TrustAnchors {
        guard let path = authorities ?? Self.systemBundles.first(where: Files.exists) else {
            throw BackupError(
                .target, "the system has no list of authorities: install ca-certificates, or name a file under 'ca'")
        }
        do {
            let all = try Certificate.parsePEM(try Files.read(path, limit: 4 << 20))
            // The system's has a few that are no authorities by today's rules; one that was named must be right.
            return try TrustAnchors(authorities == nil ? all.filter(\.isAuthority) : all)
        } catch { throw BackupError(.target, "\(path): \(error)") }
    }
}
