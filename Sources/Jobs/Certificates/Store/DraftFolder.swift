import IO
import OpenSSL

/// A key and the request that it signed.
struct CertificateDraft: Sendable {
    let key: PrivateKey
    let request: [UInt8]
}

/// `request/`: key and request on the disk before they are sent, so that the same request can be repeated when its
/// answer is lost. A token works once, and the plane answers it again only for the same key.
struct DraftFolder: Sendable {
    private static let sizeLimit = 16 << 10

    let path: String

    private var keyPath: String { path + "/key.pem" }
    private var requestPath: String { path + "/request.der" }
    /// What the draft asks for; written last.
    private var purposePath: String { path + "/purpose" }

    /// The draft for `purpose` if there is one, else a new one, durably.
    func take(
        purpose: String, make: () throws(OpenSSLError) -> CertificateDraft
    ) throws(StoreError) -> CertificateDraft {
        if let known = try? Files.read(purposePath, limit: Self.sizeLimit), known == Array(purpose.utf8),
            let key = try? PrivateKey(pemFile: keyPath),
            let request = try? Files.read(requestPath, limit: Self.sizeLimit)
        {
            return CertificateDraft(key: key, request: request)
        }
        discard()
        do {
            let draft = try make()
            try Files.makeDirectory(path, mode: 0o700)
            try draft.key.writePEM(to: keyPath)
            try Files.write(draft.request, to: requestPath, mode: 0o600)
            try Files.write(Array(purpose.utf8), to: purposePath, mode: 0o600)
            return draft
        } catch {
            throw StoreError("\(error)")
        }
    }

    /// Best effort: a draft that stays is replaced by the next one for another purpose.
    func discard() { try? Files.removeTree(path) }
}
