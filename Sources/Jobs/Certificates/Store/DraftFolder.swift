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
    /// When the server wants the draft again, in seconds since 1970; only where it answered 202.
    private var postponedPath: String { path + "/postponed" }

    /// The draft for `purpose`, if there is one.
    func existing(for purpose: String) -> CertificateDraft? {
        guard let known = try? Files.read(purposePath, limit: Self.sizeLimit), known == Array(purpose.utf8),
            let key = try? PrivateKey(pemFile: keyPath),
            let request = try? Files.read(requestPath, limit: Self.sizeLimit)
        else { return nil }
        return CertificateDraft(key: key, request: request)
    }

    /// A new draft, durably, in place of any other.
    func replace(
        for purpose: String, make: () throws(OpenSSLError) -> CertificateDraft
    ) throws(StoreError) -> CertificateDraft {
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

    func postpone(until time: Double) throws(StoreError) {
        do throws(IOError) {
            try Files.write(Array("\(Int64(time.rounded(.up)))\n".utf8), to: postponedPath, mode: 0o600)
        } catch {
            throw StoreError(error)
        }
    }

    var postponedUntil: Double? {
        let bytes = (try? Files.read(postponedPath, limit: 64)) ?? []
        return Int64(String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)).map(Double.init)
    }

    /// Best effort: a draft that stays is replaced by the next one for another purpose.
    func discard() { try? Files.removeTree(path) }
}
