import Glibc
import IO
import OpenSSL

/// The folder in which others look for a certificate, and the files there.
///
/// Its owner is not trusted: no link is followed, neither on the way there nor in it, and what is there is replaced,
/// never written into.
struct PublishedFolder: ~Copyable {
    private struct File {
        let name: String
        let text: SecretReference
        let mode: UInt32
    }

    private let folder: OpenFolder
    private let owner: UInt32
    private let group: UInt32
    private let configuration: PublicationConfiguration

    static func open(_ configuration: PublicationConfiguration) throws(PublicationError) -> PublishedFolder {
        do throws(IOError) {
            let folder = try OpenFolder(withoutLinks: configuration.directory)
            let entry = try folder.look()
            let owner = try number(configuration.owner, Account.user, "user") ?? entry.owner
            let group = try number(configuration.group, Account.group, "group") ?? entry.group
            try judge(entry, owner: owner, group: group, folder.path)
            return PublishedFolder(folder: folder, owner: owner, group: group, configuration: configuration)
        } catch { throw PublicationError(error.description) }
    }

    private static func number(
        _ name: String?, _ look: (String) -> UInt32?, _ kind: String
    ) throws(IOError) -> UInt32? {
        guard let name else { return nil }
        if let number = look(name) { return number }
        throw IOError("publish for \(name)", code: ENOENT, words: "there is no such \(kind)")
    }

    /// Who else may write there could replace what is written, and read the key before its owner is set.
    private static func judge(
        _ entry: OpenFolder.Entry, owner: UInt32, group: UInt32, _ path: String
    ) throws(IOError) {
        let flaw: String? =
            if entry.mode & 0o002 != 0 {
                "everybody may write there: chmod o-w it"
            } else if ![0, Account.own, owner].contains(entry.owner) {
                "it belongs to a user who is neither root nor the owner of the files"
            } else if entry.mode & 0o020 != 0, ![0, group].contains(entry.group) {
                "a group may write there that is not the files' own: chmod g-w it"
            } else {
                nil
            }
        if let flaw { throw IOError("publish in \(path)", code: EPERM, words: flaw) }
    }

    // MARK: what is to be there

    /// In the order in which they are put there.
    private func files(of material: PublishedMaterial) throws(PublicationError) -> [File] {
        func text(_ certificates: [Certificate]) -> SecretReference {
            SecretReference(copying: Array(certificates.map(\.pem).joined().utf8))
        }
        let names = configuration.names
        var files: [File] = []
        if let name = names.authorities, let authorities = material.authorities {
            files.append(File(name: name, text: text(authorities), mode: configuration.mode))
        }
        do throws(OpenSSLError) {
            let key = try material.identity.key.pem()
            files.append(File(name: names.key, text: key, mode: configuration.keyMode))
        } catch { throw PublicationError(error.description) }
        files.append(File(name: names.chain, text: text(material.identity.chain), mode: configuration.mode))
        return files
    }

    /// Whether every file is there with the same bytes, owner and permissions.
    borrowing func holds(_ material: PublishedMaterial) throws(PublicationError) -> Bool {
        for file in try files(of: material) {
            do {
                let found = try folder.open(file.name)
                let entry = found.entry
                let isAsWished = (entry.owner, entry.group, entry.mode) == (owner, group, file.mode)
                let path = "\(folder.path)/\(file.name)"
                guard isAsWished, try SecretReference.contents(of: found.descriptor, path) == file.text else {
                    return false
                }
            } catch {
                // Not there, a link, empty or too large: it is replaced.
                return false
            }
        }
        return true
    }

    // MARK: changing it

    /// All files are whole and on the disk before the first is put in its place; then they follow each other at once.
    /// Those that were there stay as `NAME.previous`.
    borrowing func write(_ material: PublishedMaterial) throws(PublicationError) {
        let files = try files(of: material)
        do throws(IOError) {
            for file in files {
                try file.text.withBytes { bytes throws(IOError) in
                    try folder.draft(file.name, bytes, mode: file.mode, owner: owner, group: group)
                }
            }
            if try !wasInterrupted() {
                for file in files where try !folder.keep(file.name, as: Self.previous(file.name)) {
                    try folder.remove(Self.previous(file.name))
                }
            }
            for file in files { try folder.adopt(file.name) }
            try folder.synchronize()
        } catch {
            for file in files { folder.discard(file.name) }
            throw PublicationError(error.description)
        }
    }

    /// Between its renames: certificate and key do not belong together, and what was kept then is the last pair that
    /// did.
    private borrowing func wasInterrupted() throws(IOError) -> Bool {
        for name in [configuration.names.key, configuration.names.chain] {
            guard try folder.look(at: Self.previous(name))?.isFile == true else { return false }
        }
        return !isPair
    }

    private func chain() throws -> [Certificate] {
        try Certificate.parsePEM(
            try folder.read(configuration.names.chain, limit: PublishedMaterial.sizeLimit).bytes)
    }

    /// Of the certificate that lies there; nil: it cannot be read.
    var held: PublicationRecord.Held? { (try? chain())?.first.map { PublicationRecord.Held($0) } }

    private var isPair: Bool {
        do {
            let names = configuration.names
            let chain = try chain()
            let path = "\(folder.path)/\(names.key)"
            let text = try SecretReference.contents(of: try folder.open(names.key).descriptor, path)
            _ = try TLSIdentity(chain: chain, key: try PrivateKey(pem: text, path))
            return true
        } catch {
            return false
        }
    }

    /// Puts the files of before back. They stay as `NAME.previous`, too: whatever interrupts it, it can be done again.
    borrowing func restore() throws(PublicationError) {
        let names = [configuration.names.authorities, configuration.names.key, configuration.names.chain]
        do throws(IOError) {
            for name in [configuration.names.key, configuration.names.chain] {
                guard try folder.look(at: Self.previous(name))?.isFile == true else {
                    throw IOError(
                        "restore \(folder.path)/\(name)", code: ENOENT, words: "there is no \(Self.previous(name))")
                }
            }
            for name in names.compactMap(\.self) { _ = try folder.keep(Self.previous(name), as: name) }
            try folder.synchronize()
        } catch { throw PublicationError(error.description) }
    }

    private static func previous(_ name: String) -> String { name + ".previous" }
}
