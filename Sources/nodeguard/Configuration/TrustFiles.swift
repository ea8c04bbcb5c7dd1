import IO
import OpenSSL
import Proxy

/// What the files of authorities hold that `trust` and its like name.
extension ListenerSection.Trust {
    private static let sizeLimit = 1 << 20

    fileprivate var file: String? { if case .file(let path) = self { path } else { nil } }

    static func authorities(in path: String) throws -> [Certificate] {
        let blocks = try Certificate.blocks(ofPEM: try Files.read(path, limit: sizeLimit))
        if let leaf = blocks.first(where: { !$0.certificate.isAuthority }) {
            throw OpenSSLError("read PEM certificates", "\(leaf.place): \(leaf.certificate) is no authority")
        }
        let found = blocks.map(\.certificate)
        _ = try TrustAnchors(found, pinsIntermediates: true)
        return found
    }
}

extension [ListenerSection.Trust] {
    var files: [String] { compactMap(\.file) }

    /// As the files are now.
    func current() throws -> ListenerTrust {
        ListenerTrust(
            trustsCluster: contains(.cluster),
            anchors: try files.flatMap { try ListenerSection.Trust.authorities(in: $0) })
    }

    /// One line for each file that cannot be used, behind `subject`.
    func mistakes(_ subject: String) -> [String] {
        files.compactMap { path -> String? in
            do {
                _ = try ListenerSection.Trust.authorities(in: path)
                return nil
            } catch { return "\(subject) \"file:\(path)\": \(error)" }
        }
    }
}
