import Glibc
import IO
import OpenSSL

/// The cluster's CRLs as the plane gave them last: `revocation/cluster.crl`, and what they are in `cluster.json`.
///
/// There is one generation only: an older list in place of a damaged one would let revoked certificates in again.
package struct RevocationStore: Sendable {
    private struct Meta: Codable {
        var schema = 1
        /// The plane's name for them; nil: they have none.
        let tag: String?
        /// SHA-256 of the lists: of others `tag` says nothing.
        let digest: String
        /// How new they are, for the day on which they are damaged; nil: written by an older version.
        let newest: [RevocationMark]?
    }

    struct Stored: Sendable {
        let bytes: [UInt8]
        let tag: String?
    }

    private static let metaLimit = 64 << 10

    private let state: String

    package init(stateDirectory: String) { state = stateDirectory }

    private var folder: String { state + "/revocation" }
    package var path: String { folder + "/cluster.crl" }
    private var metaPath: String { folder + "/cluster.json" }

    /// nil: there is none yet.
    func load() throws(StoreError) -> Stored? {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try Files.read(path, limit: RevocationList.sizeLimit)
        } catch {
            if [ENOENT, ENOTDIR].contains(error.code) { return nil }
            throw StoreError(error)
        }
        return Stored(bytes: bytes, tag: tag(of: bytes))
    }

    private func tag(of bytes: [UInt8]) -> String? {
        guard let meta, meta.digest == Self.digest(bytes) else { return nil }
        return meta.tag
    }

    private var meta: Meta? {
        guard let text = try? Files.read(metaPath, limit: Self.metaLimit) else { return nil }
        return try? StateJSON.decode(text)
    }

    /// How new the lists were that were saved last, whatever became of them; empty: that is not known.
    var newest: [RevocationMark] { meta?.newest ?? [] }

    /// The lists first: without what belongs to them they are only fetched once more.
    func save(_ bytes: [UInt8], tag: String?, newest: [RevocationMark]) throws(StoreError) {
        do throws(IOError) {
            try Files.makeDirectory(folder, mode: 0o700)
            try Files.write(bytes, to: path, mode: 0o600)
        } catch { throw StoreError(error) }
        let meta = try StateJSON.encode(Meta(tag: tag, digest: Self.digest(bytes), newest: newest))
        do throws(IOError) {
            try Files.write(meta, to: metaPath, mode: 0o600)
        } catch { throw StoreError(error) }
    }

    /// Moves aside what cannot be used; where it is now.
    func quarantine() -> String {
        let target = state + "/quarantine"
        let taken = Set((try? Files.list(target)) ?? [])
        let name = (0...).lazy.map { $0 == 0 ? "revocation-cluster.crl" : "revocation-cluster.crl-\($0)" }
            .first { !taken.contains($0) }
        guard let name else { return path }
        do throws(IOError) {
            try Files.makeDirectory(target, mode: 0o700)
            try Files.rename(path, to: "\(target)/\(name)")
            return "\(target)/\(name)"
        } catch { return path }
    }

    private static func digest(_ bytes: [UInt8]) -> String { Hexadecimal.text(Digest.sha256(bytes)) }
}
