/// One object of a backup, and where it lies: `<cluster>/<backup>/v/000000.ngb` and its siblings.
package struct BackupObject: Hashable, Sendable, CustomStringConvertible {
    package enum Part: Hashable, Sendable {
        case volume(Int)
        case keys
        case publicManifest
        /// Written last and removed first: a backup exists if and only if this does.
        case manifest
    }

    package let cluster: String
    package let backup: BackupIdentifier
    package let part: Part

    package init(cluster: String, backup: BackupIdentifier, part: Part) {
        self.cluster = cluster
        self.backup = backup
        self.part = part
    }

    /// Within its backup.
    package var name: String {
        switch part {
        case .volume(let number):
            let digits = String(number)
            return "v/" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".ngb"
        case .keys: return "keys.json"
        case .publicManifest: return "manifest.pub.json"
        case .manifest: return "manifest.ngb"
        }
    }

    /// Within its target.
    package var path: String { "\(Self.folder(of: cluster))/\(backup)/\(name)" }
    package var description: String { "\(backup)/\(name)" }

    /// A cluster's name as one path component: whatever is no letter, digit, `-` or `_`, or a dot at the start, is
    /// written `%XX`.
    static func folder(of cluster: String) -> String {
        var text = ""
        for (index, byte) in cluster.utf8.enumerated() {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x5F].contains(byte) || (byte == 0x2E && index > 0)
            text += isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal([byte]).uppercased()
        }
        return text.isEmpty ? "%" : text
    }
}
