import IO
import OpenSSL
import Tokens

/// A key and the request that it signed.
struct CertificateDraft: Sendable {
    let key: PrivateKey
    let request: [UInt8]
}

/// `request/`: key and request on the disk before they are sent, so that the same request can be repeated when its
/// answer is lost. A token works once, and the plane answers it again only for the same key.
struct DraftFolder: Sendable {
    static let sizeLimit = 16 << 10

    let path: String
    let keys: KeyTokens?

    private var keyPath: String { path + "/key.pem" }
    private var tokenKeyPath: String { "\(path)/\(GenerationFolder.tokenKeyName)" }
    private var requestPath: String { path + "/request.der" }
    /// What the draft asks for; written last.
    private var purposePath: String { path + "/purpose" }
    /// When the server wants the draft again, in seconds since 1970; only where it answered 202.
    private var postponedPath: String { path + "/postponed" }

    /// The draft for `purpose`, if there is one.
    func existing(for purpose: String) -> CertificateDraft? {
        guard isFor(purpose), let key = storedKey,
            let request = try? Files.read(requestPath, limit: Self.sizeLimit)
        else { return nil }
        return CertificateDraft(key: key, request: request)
    }

    func isFor(_ purpose: String) -> Bool {
        (try? Files.read(purposePath, limit: Self.sizeLimit)) == Array(purpose.utf8)
    }

    private var storedKey: PrivateKey? {
        if let tokenKey { return try? keys?.key(tokenKey) }
        return try? PrivateKey(pemFile: keyPath)
    }

    /// The key that is here, or is about to be made, in a token.
    var tokenKey: KeyReference? {
        (try? Files.read(tokenKeyPath, limit: Self.sizeLimit)).flatMap { try? KeyReference(reading: $0) }
    }

    /// Before a key is made in a token; durably.
    func announce(_ reference: KeyReference) throws(StoreError) {
        do throws(IOError) {
            try Files.makeDirectory(path, mode: 0o700)
            try Files.write(reference.bytes, to: tokenKeyPath, mode: 0o600)
        } catch {
            throw StoreError(error)
        }
    }

    /// A new draft, durably; what was there before was discarded.
    func write(_ draft: CertificateDraft, for purpose: String) throws(StoreError) {
        do {
            try Files.makeDirectory(path, mode: 0o700)
            if let holder = draft.key.holder {
                try Files.write(holder.reference, to: tokenKeyPath, mode: 0o600)
            } else {
                try draft.key.writePEM(to: keyPath)
            }
            try Files.write(draft.request, to: requestPath, mode: 0o600)
            try Files.write(Array(purpose.utf8), to: purposePath, mode: 0o600)
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

    /// Best effort: one that stays is overwritten by the next. Whoever calls has seen to a key in a token.
    func discard() { try? Files.removeTree(path) }
}
