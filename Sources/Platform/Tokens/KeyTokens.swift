import IO
import OpenSSL
import Reports
import Synchronization

/// All tokens of the node: those of the configuration, and those that keys of before still lie in.
package final class KeyTokens: Sendable {
    private let program: String
    private let stateDirectory: String
    private let metrics: Metrics
    private let changed: @Sendable (TokenCondition) -> Void
    private let tokens = Mutex<[String: Token]>([:])
    private let added = Alarm(label: "tokens")

    /// `program`: of the processes that have the tokens open; this one's own by default.
    package init(
        stores: [KeyStore], stateDirectory: String, metrics: Metrics, program: String = "/proc/self/exe",
        changed: @escaping @Sendable (TokenCondition) -> Void = { _ in }
    ) {
        self.program = program
        self.stateDirectory = stateDirectory
        self.metrics = metrics
        self.changed = changed
        for store in stores { _ = token(store) }
    }

    /// Those of today's configuration come first: a URI that now names another module or PIN is the one that counts.
    private func token(_ store: KeyStore) -> Token {
        let (token, isNew) = tokens.withLock { tokens in
            let name = if case .tpm = store { store.text } else { store.description }
            if let known = tokens[name] { return (known, false) }
            let new = Token(
                store, program: program, stateDirectory: stateDirectory, metrics: metrics, changed: changed)
            tokens[name] = new
            return (new, true)
        }
        if isNew { added.ring() }
        return token
    }

    private var all: [Token] { tokens.withLock { Array($0.values) } }

    /// Opens what is configured; what cannot be opened is tried again by `run`.
    package func start() async {
        await withTaskGroup(of: Void.self) { group in
            for token in all { group.addTask { await token.start() } }
        }
    }

    /// Until the task is cancelled.
    package func run() async {
        var kept: Set<ObjectIdentifier> = []
        await withTaskGroup(of: Void.self) { group in
            while !Task.isCancelled {
                for token in all where kept.insert(ObjectIdentifier(token)).inserted {
                    group.addTask { await token.run() }
                }
                _ = await added.wait(for: .seconds(3600))
            }
            group.cancelAll()
        }
    }

    // MARK: keys

    /// What is to be on the disk before a key is made.
    package func announce(in store: KeyStore) -> KeyReference {
        KeyReference(store: store, key: secureRandom(16), publicKey: nil)
    }

    /// Makes the key that was announced. `label`: for people who look into the token.
    package func generate(
        _ kind: KeyKind, announced: KeyReference, label: String
    ) async throws(TokenFailure) -> PrivateKey {
        let token = try token(of: announced)
        let made = try await token.generate(kind, name: Array(announced.key), label: label)
        let reference = KeyReference(store: token.store, key: made.key, publicKey: made.publicKey)
        do throws(OpenSSLError) {
            return try PrivateKey(publicKeyDER: made.publicKey, holder: TokenKey(token, reference))
        } catch {
            throw TokenFailure(description: error.description, isUnavailable: false)
        }
    }

    /// The key that a reference names; the token is not asked for it.
    package func key(_ reference: KeyReference) throws(OpenSSLError) -> PrivateKey {
        guard let publicKey = reference.publicKey else {
            throw OpenSSLError("use a key of \(reference.store)", "it was never made")
        }
        let found: Token
        do throws(TokenFailure) {
            found = try token(of: reference)
        } catch {
            throw OpenSSLError("use a key of \(reference.store)", error.description)
        }
        return try PrivateKey(publicKeyDER: Array(publicKey), holder: TokenKey(found, reference))
    }

    /// For good. No error if there is no such key.
    package func destroy(_ reference: KeyReference) async throws(TokenFailure) {
        try await token(of: reference).destroy(Array(reference.key))
    }

    private func token(of reference: KeyReference) throws(TokenFailure) -> Token {
        do throws(TokenURI.Flaw) {
            return token(try KeyStore(reference.store))
        } catch {
            throw TokenFailure(description: error.text, isUnavailable: false)
        }
    }
}

/// A private key in a token.
final class TokenKey: KeyHolder {
    private let token: Token
    private let written: KeyReference

    init(_ token: Token, _ reference: KeyReference) {
        self.token = token
        written = reference
    }

    var place: String { token.store.description }
    var reference: [UInt8] { written.bytes }
    var isAvailable: Bool { token.isAvailable }
    func perform(_ operation: KeyOperation) -> [UInt8]? { token.sign(Array(written.key), operation) }
}
