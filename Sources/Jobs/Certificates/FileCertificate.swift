import IO
import OpenSSL

/// A certificate that someone else brings in two files: read again when asked, replaced only by a good pair.
///
/// Lives in the job's actor.
final class FileCertificate {
    private static let sizeLimit = 1 << 20

    let role: String
    let chainPath: String
    let keyPath: String
    private(set) var identity: TLSIdentity?
    /// How often it was replaced, the first time included.
    private(set) var generation = 0
    /// When the certificate that lies there becomes valid, in seconds since 1970, if that is what is wrong with it.
    private(set) var awaitedTime: Int64?

    enum Finding: Sendable {
        case unchanged
        /// Good, and not served before it is adopted.
        case new(TLSIdentity)
        /// What is served stays.
        case unusable(String)
    }

    private let reading: (_ chain: String, _ key: String) throws -> TLSIdentity

    init(
        role: String, chainPath: String, keyPath: String,
        reading: @escaping (_ chain: String, _ key: String) throws -> TLSIdentity = FileCertificate.read
    ) {
        self.role = role
        self.chainPath = chainPath
        self.keyPath = keyPath
        self.reading = reading
    }

    static func read(chain: String, key: String) throws -> TLSIdentity {
        try TLSIdentity(chainFile: try Files.read(chain, limit: sizeLimit), keyFile: key)
    }

    func look(at now: Int64) -> Finding {
        awaitedTime = nil
        do {
            let found = try reading(chainPath, keyPath)
            if let identity, identity.chain == found.chain { return .unchanged }
            if let flaw = Self.flaw(found.leaf, at: now) {
                if found.leaf.notBefore > now { awaitedTime = found.leaf.notBefore }
                return .unusable("\(chainPath): \(flaw)")
            }
            // Applies chain and key to a context: what is too weak for our policy fails here and not at the first
            // client.
            _ = try TLSContext.client(identity: found, trust: nil, serverName: nil)
            return .new(found)
        } catch let error as IOError {
            return .unusable("\(error)")
        } catch {
            return .unusable("\(chainPath): \(error)")
        }
    }

    func adopt(_ new: TLSIdentity) {
        identity = new
        generation += 1
    }

    private static func flaw(_ leaf: Certificate, at now: Int64) -> String? {
        if leaf.isAuthority { return "the first certificate is an authority's; the server's own must come first" }
        if leaf.notBefore > now { return "the certificate is not valid before its time comes" }
        if leaf.notAfter <= now { return "the certificate has expired" }
        return nil
    }
}
