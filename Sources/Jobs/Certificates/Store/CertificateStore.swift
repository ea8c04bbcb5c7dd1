import FoundationEssentials
import Glibc
import IO
import OpenSSL
import PlaneAPI

/// A certificate with its key as it lies on the disk.
package struct StoredCertificate: Sendable {
    package let identity: TLSIdentity
    package let generation: Int
    /// Digest of the token that the node identity was enrolled with.
    package let joinedWith: String?
}

/// The certificates of one role: `certificates/<role>/g<N>/{chain.pem,key.pem,meta.json}`.
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
    let folder: GenerationFolder
    let draft: DraftFolder

    package init(
        role: String, stateDirectory: String,
        onStep: @escaping @Sendable (PublicationStep) throws(StoreError) -> Void = { _ in }
    ) {
        self.role = role
        let path = "\(stateDirectory)/certificates/\(role)"
        folder = GenerationFolder(
            path, name: "certificates-\(role)", quarantine: stateDirectory + "/quarantine", onStep: onStep)
        draft = DraftFolder(path: path + "/request")
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
            .key("key.pem", identity.key), .bytes("chain.pem", Array(chain.utf8)),
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
