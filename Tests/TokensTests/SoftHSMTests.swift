import Foundation
import OpenSSL
import Reports
import Synchronization
import TestSupport
import Testing

@testable import Tokens

/// One place of tokens for all tests, since where they are is in the environment.
private let tokens: Result<TestTokens, any Error> = Result {
    let made = try TestTokens()
    for (name, value) in made.environment { setenv(name, value, 1) }
    return made
}

@Suite(.serialized) struct `Keys in SoftHSM` {
    private let place: TestTokens
    private let state: TemporaryDirectory
    private let seen = Seen()

    private final class Seen: Sendable {
        let conditions = Mutex<[TokenCondition]>([])
        var faults: [TokenStateMachine.Fault?] { conditions.withLock { $0.map(\.fault) } }
    }

    init() throws {
        place = try tokens.get()
        state = try TemporaryDirectory()
    }

    private func keys(_ text: String) throws -> KeyTokens {
        let seen = seen
        return KeyTokens(
            stores: [try KeyStore(text)], stateDirectory: state.path, metrics: Metrics(),
            program: BuiltProgram.nodeguard
        ) { condition in seen.conditions.withLock { $0.append(condition) } }
    }

    private func key(_ kind: KeyKind, _ keys: KeyTokens, _ label: String) async throws -> PrivateKey {
        let announced = keys.announce(in: try KeyStore(place.store(label)))
        return try await keys.generate(kind, announced: announced, label: "test")
    }

    /// openssl(1) signs the request, and so reads what was signed with the key.
    private func identity(of key: PrivateKey, by root: TestIdentity) throws -> TLSIdentity {
        let request = try SigningRequest.make(
            key: key, commonName: "localhost", dnsNames: ["localhost"], serverAuth: true, clientAuth: true)
        try Subprocess.check(
            "openssl",
            [
                "x509", "-req", "-inform", "DER", "-in", try state.write(request, to: "request.der"), "-CA",
                root.certificatePath, "-CAkey", root.keyPath, "-copy_extensions", "copyall", "-days", "1", "-out",
                state.file("leaf.pem"),
            ])
        return try TLSIdentity(
            chain: try Certificate.parsePEM(try state.read("leaf.pem") + root.certificatePEM), key: key)
    }

    @Test(arguments: [KeyKind.ecP256, .ecP384, .rsa3072])
    func `sign as keys in files do, and leave the token for nobody`(kind: KeyKind) async throws {
        let label = "kind-\(kind.rawValue)"
        try place.make(label)
        let keys = try keys(place.store(label))
        await keys.start()
        let key = try await key(kind, keys, label)
        #expect(key.place == "pkcs11:token=\(label)")
        let text = Array("a request".utf8)
        let signature = try key.sign(text)
        #expect(PrivateKey.verify(signature: signature, of: text, publicKeyDER: key.publicKeyDER))
        #expect(!PrivateKey.verify(signature: signature, of: text + [0], publicKeyDER: key.publicKeyDER))
        #expect(throws: OpenSSLError.self) { _ = try key.pem() }

        // As it is found after a restart.
        let reference = try KeyReference(reading: try #require(key.holder).reference)
        let again = try keys.key(reference)
        #expect(PrivateKey.verify(signature: try again.sign(text), of: text, publicKeyDER: key.publicKeyDER))

        let shown = try place.tool(label, ["--list-objects", "--type", "privkey"])
        #expect(shown.output.contains("sensitive") && shown.output.contains("never extractable"), "\(shown)")

        try await keys.destroy(reference)
        try await keys.destroy(reference)
        #expect(try place.keys(label) == [])
    }

    @Test(arguments: [KeyKind.ecP256, .rsa3072])
    func `shake hands in both versions, under the trimmed algorithms too`(kind: KeyKind) async throws {
        let label = "tls-\(kind.rawValue)"
        try place.make(label)
        let keys = try keys(place.store(label))
        await keys.start()
        let key = try await key(kind, keys, label)
        let authority = try TestAuthority()
        let identity = try identity(of: key, by: authority.root)
        let trust = try TrustAnchors([identity.chain[1]])
        for algorithms in AlgorithmSelection.allCases {
            let server = try TLSContext.server(identity: identity, trust: trust, algorithms: algorithms)
            try TLSContext.selfTest(server, trust: trust)
        }
    }

    @Test func `are refused at once while the token hangs, and used again when it does no more`() async throws {
        try place.make("hanging")
        let keys = try keys(place.store("hanging"))
        await keys.start()
        let running = Task { await keys.run() }
        defer { running.cancel() }
        let key = try await key(.ecP256, keys, "hanging")
        try place.hang()
        let first = ContinuousClock.now
        #expect(throws: OpenSSLError.self) { _ = try key.sign([1]) }
        #expect(ContinuousClock.now - first >= .seconds(5), "it was given its time")
        #expect(seen.faults.last == .silent)
        let second = ContinuousClock.now
        #expect(throws: OpenSSLError.self) { _ = try key.sign([1]) }
        #expect(ContinuousClock.now - second < .seconds(1))
        try place.goOn()
        #expect(await eventually(within: 30) { (try? key.sign([1])) != nil })
        #expect(seen.faults.last == .some(nil))
    }

    @Test func `are found again when the token was pulled out and put back`() async throws {
        try place.make("pulled")
        let keys = try keys(place.store("pulled"))
        await keys.start()
        let running = Task { await keys.run() }
        defer { running.cancel() }
        let key = try await key(.ecP256, keys, "pulled")
        try place.pull()
        // What the module still remembers does not count for long.
        #expect(await eventually(within: 30) { (try? key.sign([1])) == nil })
        #expect(await eventually(within: 30) { seen.faults.last == .unreachable })
        try place.putBack()
        #expect(await eventually(within: 60) { (try? key.sign([1])) != nil })
    }

    @Test func `are reached again after the process that had the token open was killed`() async throws {
        try place.make("killed")
        let keys = try keys(place.store("killed"))
        await keys.start()
        let running = Task { await keys.run() }
        defer { running.cancel() }
        let key = try await key(.ecP256, keys, "killed")
        let children = try Subprocess.run("pgrep", ["-P", "\(getpid())", "-f", "hold-keys"])
        for line in children.output.split(separator: "\n") { kill(try #require(Int32(line)), SIGKILL) }
        #expect(await eventually(within: 30) { (try? key.sign([1])) != nil })
        #expect(seen.faults.contains(.unreachable))
    }

    @Test func `wait for another PIN after one was refused, also after a restart`() async throws {
        try place.make("wrong")
        let pin = try state.write("111111\n", to: "pin")
        let store = "pkcs11:token=wrong?module-path=\(place.module)&pin-source=file:\(pin)"
        let before = place.loginCount
        let first = try keys(store)
        await first.start()
        #expect(seen.faults == [.pinRefused])
        #expect(place.loginCount == before + 1)
        let running = Task { await first.run() }
        await #expect(throws: TokenFailure.self) {
            _ = try await first.generate(.ecP256, announced: first.announce(in: try KeyStore(store)), label: "test")
        }
        running.cancel()
        await running.value
        // As systemd mounts a credential at each start: another file of the same PIN.
        try FileManager.default.removeItem(atPath: pin)
        try state.write("111111\n", to: "pin")
        let second = try keys(store)
        await second.start()
        #expect(place.loginCount == before + 1, "a restart tried it again")
        #expect(seen.faults.last == .pinRefused)

        let again = Task { await second.run() }
        defer { again.cancel() }
        try state.write(TestTokens.pin, to: "pin")
        #expect(await eventually(within: 30) { seen.faults.last == .some(nil) })
        #expect(place.loginCount == before + 2)
        _ = try await second.generate(.ecP256, announced: second.announce(in: try KeyStore(store)), label: "test")
    }

    @Test func `are not tried with a PIN whose refusal could not be noted`() async throws {
        try place.make("unnoted")
        let before = place.loginCount
        try state.write("", to: "tokens")
        let keys = try keys(place.store("unnoted"))
        await keys.start()
        #expect(seen.faults == [.unreachable] && place.loginCount == before)
        #expect(seen.conditions.withLock { $0.last }?.detail.contains("PIN is not tried") == true)
    }

    @Test(arguments: [
        ("pkcs11:token=nobody?module-path=MODULE", "has no token that fits"),
        ("pkcs11:token=a?module-path=/nonexistent.so", "load the module"),
        ("pkcs11:token=a?module-path=/usr/lib/x86_64-linux-gnu/libz.so.1", "is no PKCS #11 module"),
    ])
    func `are out of reach with the reason`(store: String, reason: String) async throws {
        let keys = try keys(store.replacing("MODULE", with: place.module))
        await keys.start()
        let condition = try #require(seen.conditions.withLock { $0.last })
        #expect(condition.fault == .unreachable && condition.detail.contains(reason), "\(condition)")
    }
}
