import FoundationEssentials
import Glibc
import IO
import OpenSSL
import PlaneAPI
import Tokens

/// A certificate with its key as it lies on the disk.
package struct StoredCertificate: Sendable {
    package let identity: TLSIdentity
    package let generation: Int
    /// Digest of the token that the node identity was enrolled with.
    package let joinedWith: String?
}

/// The certificates of one role: `certificates/<role>/g<N>/{chain.pem,key.pem,meta.json}`; with `key.token` in place of
/// `key.pem` where the key is in a token.
package struct CertificateStore: Sendable {
    /// For people and other programs; the agent itself reads only `joinedWith`.
    private struct Meta: Codable {
        var schema = 1
        let role: String
        let generation: Int
        let subject: String
        let issuer: String
        let serial: String
        let notBefore: Int64
        let notAfter: Int64
        let joinedWith: String?
    }

    private let role: String
    private let keys: KeyTokens?
    let folder: GenerationFolder
    let draft: DraftFolder

    /// `keys`: nil where keys in tokens are of no use.
    package init(
        role: String, stateDirectory: String, keys: KeyTokens? = nil,
        onStep: @escaping @Sendable (PublicationStep) throws(StoreError) -> Void = { _ in }
    ) {
        self.role = role
        self.keys = keys
        let path = "\(stateDirectory)/certificates/\(role)"
        folder = GenerationFolder(
            path, name: "certificates-\(role)", quarantine: stateDirectory + "/quarantine", onStep: onStep)
        draft = DraftFolder(path: path + "/request", keys: keys)
    }

    package struct Loaded: Sendable {
        package let certificate: StoredCertificate?
        package let damage: [GenerationFolder.Damage]
    }

    package func load() throws(StoreError) -> Loaded {
        let found = try folder.load(read)
        return Loaded(certificate: found.value, damage: found.damage)
    }

    package func publish(_ identity: TLSIdentity, joinedWith: String?) throws(StoreError) -> StoredCertificate {
        let chain = identity.chain.map(\.pem).joined()
        let number = try folder.publish([
            identity.key.holder.map { .bytes(GenerationFolder.tokenKeyName, $0.reference) }
                ?? .key("key.pem", identity.key),
            .bytes("chain.pem", Array(chain.utf8)),
        ]) { number throws(StoreError) in
            let leaf = identity.leaf
            let meta = Meta(
                role: role, generation: number, subject: leaf.subject, issuer: leaf.issuer, serial: leaf.serial,
                notBefore: leaf.notBefore, notAfter: leaf.notAfter, joinedWith: joinedWith)
            return try StateJSON.encode(meta)
        }
        return StoredCertificate(identity: identity, generation: number, joinedWith: joinedWith)
    }

    private func read(_ number: Int) throws(GenerationFolder.Flaw) -> StoredCertificate {
        let meta: Meta = try StateJSON.decode(try folder.bytes(GenerationFolder.metaName, of: number))
        let chain = try folder.bytes("chain.pem", of: number)
        if let identity = try inToken(chain, number) {
            return StoredCertificate(identity: identity, generation: number, joinedWith: meta.joinedWith)
        }
        let keyPath = folder.file("key.pem", of: number)
        do throws(IOError) {
            // Told apart here: OpenSSL's error is the same for a file that is broken and one that is not ours.
            _ = try Files.openForReading(keyPath)
        } catch {
            throw error.meansDamage ? .damaged(error.description) : .unreadable(StoreError(error))
        }
        do throws(OpenSSLError) {
            let identity = try TLSIdentity(chainFile: chain, keyFile: keyPath)
            guard !identity.leaf.isAuthority else {
                throw OpenSSLError("read \(keyPath)", "its certificate is an authority's")
            }
            return StoredCertificate(identity: identity, generation: number, joinedWith: meta.joinedWith)
        } catch {
            throw .damaged(error.description)
        }
    }
}

extension CertificateStore {
    /// nil: the key is in a file. The token itself is not asked: that it is away damages nothing here.
    private func inToken(_ chain: [UInt8], _ number: Int) throws(GenerationFolder.Flaw) -> TLSIdentity? {
        guard Files.exists(folder.file(GenerationFolder.tokenKeyName, of: number)) else { return nil }
        let bytes = try folder.bytes(GenerationFolder.tokenKeyName, of: number)
        guard let keys else { throw .unreadable(StoreError("read a certificate: its key is in a token")) }
        do throws(OpenSSLError) {
            let key = try keys.key(try KeyReference(reading: bytes))
            return try TLSIdentity(chain: try Certificate.parsePEM(chain), key: key)
        } catch {
            throw .damaged(error.description)
        }
    }
}

extension GenerationFolder {
    /// The keys in tokens that generations have, complete or not.
    var tokenKeys: [(number: Int, reference: KeyReference)] {
        numbers.compactMap { number in
            guard let bytes = try? Files.read(file(Self.tokenKeyName, of: number), limit: DraftFolder.sizeLimit),
                let reference = try? KeyReference(reading: bytes)
            else { return nil }
            return (number, reference)
        }
    }
}

extension IOError {
    /// The file is not there or not a file, as opposed to: we may not or cannot look.
    var meansDamage: Bool { [ENOENT, ENOTDIR, EISDIR, EFBIG].contains(code) }
}

enum StateJSON {
    static func encode(_ value: some Encodable) throws(StoreError) -> [UInt8] {
        do {
            return Array(try JSONEncoder.plane.encode(value)) + [0x0A]
        } catch {
            throw StoreError("write JSON: \(error)")
        }
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8]) throws(GenerationFolder.Flaw) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw .damaged("read \(GenerationFolder.metaName): it is not the JSON that was written")
        }
    }
}
