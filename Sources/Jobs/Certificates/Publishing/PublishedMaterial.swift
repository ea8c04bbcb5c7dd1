import IO
import OpenSSL
import Reports

/// What is written for others: a certificate with its key, and whom its peers are certified by.
package struct PublishedMaterial: Sendable {
    static let sizeLimit = 1 << 20

    package let identity: TLSIdentity
    /// nil: they are not written.
    package let authorities: [Certificate]?

    package init(identity: TLSIdentity, authorities: [Certificate]?) {
        (self.identity, self.authorities) = (identity, authorities)
    }

    /// Of chain and authorities, whatever the authorities' order.
    package var digest: String { Self.digest(chain: identity.chain, authorities: authorities) }

    /// Of the authorities and whoever has issued the certificate.
    var trust: String { Self.digest(chain: Array(identity.chain.dropFirst()), authorities: authorities) }

    static func digest(chain: [Certificate], authorities: [Certificate]?) -> String {
        let trusted = authorities.map { $0.map { Hexadecimal.text($0.fingerprint) }.sorted() }
        let words = chain.map { Hexadecimal.text($0.fingerprint) } + (trusted.map { ["trusts"] + $0 } ?? [])
        return Hexadecimal.text(Digest.sha256(Array(words.joined(separator: " ").utf8)))
    }

    /// What the daemon has in service now, or what lies in the files of the role. Changes nothing, whoever reads.
    static func current(
        of role: RoleConfiguration, _ publication: PublicationConfiguration, state: borrowing OpenFolder
    ) throws(PublicationError) -> PublishedMaterial {
        let now = Timestamp.now.seconds
        let identity: TLSIdentity
        switch role.source {
        case .enrolled: identity = try shown(try stored(role.name, state), state)
        case .files(let chain, let key):
            let file = FileCertificate(role: role.name, chainPath: chain, keyPath: key, reading: brought)
            switch file.look(at: now) {
            case .new(let found): identity = found
            case .unusable(let reason): throw PublicationError(reason)
            case .unchanged: throw PublicationError("\(chain) changes now")
            }
        }
        guard identity.leaf.notAfter > now else {
            throw PublicationError("the certificate of \(role.name) has expired")
        }
        return PublishedMaterial(
            identity: identity, authorities: publication.names.authorities == nil ? nil : try trusted(state))
    }

    private static func stored(
        _ role: String, _ state: borrowing OpenFolder
    ) throws(PublicationError) -> TLSIdentity {
        do {
            let owner = try state.look().owner
            let folder = try generation(try state.folder("certificates").folder(role))
            let chain = try Certificate.parsePEM(try text("chain.pem", folder, of: owner))
            let path = "\(folder.path)/key.pem"
            let file = try folder.open("key.pem")
            guard file.entry.owner == owner else { throw foreign(path, "the state folder") }
            let key = try PrivateKey(pem: try SecretReference.contents(of: file.descriptor, path), path)
            let identity = try TLSIdentity(chain: chain, key: key)
            guard !identity.leaf.isAuthority else { throw PublicationError("\(path) belongs to an authority") }
            return identity
        } catch {
            throw PublicationError("there is no certificate of \(role) that could be published: \(error)")
        }
    }

    /// As the daemon shows it: with the word of another root that goes with it for now.
    private static func shown(
        _ identity: TLSIdentity, _ state: borrowing OpenFolder
    ) throws(PublicationError) -> TLSIdentity {
        do {
            guard try state.look(at: "trust") != nil else { return identity }
            let folder = try generation(try state.folder("trust"))
            guard try folder.look(at: TrustStore.crossName) != nil else { return identity }
            let cross = try Certificate.parsePEM(try text(TrustStore.crossName, folder, of: try state.look().owner))
            return try TLSIdentity(chain: Succession.shown(identity.chain, cross), key: identity.key)
        } catch {
            throw PublicationError("the cluster's authorities cannot be read: \(error)")
        }
    }

    /// Root follows links only where root alone puts them; elsewhere it reads only what is the folder's owner's own: he
    /// could have a key published that is kept from him (CWE-441).
    private static func brought(chain: String, key: String) throws -> TLSIdentity {
        var isRootsAlone = Account.own != 0
        if !isRootsAlone {
            isRootsAlone = try [chain, key].allSatisfy { try Files.foreignWriter(following: $0) == nil }
        }
        if isRootsAlone { return try FileCertificate.read(chain: chain, key: key) }
        let folder = try OpenFolder(withoutLinks: Files.folder(of: chain))
        let owner = try folder.look().owner
        let certificates = try Certificate.parsePEM(try text(Files.name(of: chain), folder, of: owner, "its folder"))
        let folderOfKey = try OpenFolder(withoutLinks: Files.folder(of: key))
        let file = try folderOfKey.open(Files.name(of: key))
        guard file.entry.owner == (try folderOfKey.look().owner) else { throw foreign(key, "its folder") }
        return try TLSIdentity(
            chain: certificates,
            key: try PrivateKey(pem: try SecretReference.contents(of: file.descriptor, key), key))
    }

    private static func trusted(_ state: borrowing OpenFolder) throws(PublicationError) -> [Certificate] {
        do {
            let owner = try state.look().owner
            return try Certificate.parsePEM(
                try text("anchors.pem", try generation(try state.folder("trust")), of: owner))
        } catch {
            throw PublicationError("the cluster's authorities cannot be read: \(error)")
        }
    }

    /// `current` is a link, of which only the number counts.
    private static func generation(_ folder: consuming OpenFolder) throws -> OpenFolder {
        let target = folder.linkTarget("current") ?? ""
        guard let number = Int(target.dropFirst()), target == "g\(number)" else {
            throw PublicationError("\(folder.path) has none that is in use yet")
        }
        return try folder.folder(target)
    }

    private static func text(
        _ name: String, _ folder: borrowing OpenFolder, of owner: UInt32, _ whose: String = "the state folder"
    ) throws -> [UInt8] {
        let (bytes, entry) = try folder.read(name, limit: sizeLimit)
        guard entry.owner == owner else { throw foreign("\(folder.path)/\(name)", whose) }
        return bytes
    }

    /// A file of somebody else, which the owner of the folder could not read otherwise.
    private static func foreign(_ path: String, _ whose: String) -> PublicationError {
        PublicationError("\(path) does not belong to the owner of \(whose)")
    }
}
