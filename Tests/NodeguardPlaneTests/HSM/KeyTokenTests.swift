import Crypto
import Foundation
import TestSupport
import Testing

@testable import nodeguard_plane

/// SoftHSM behind a module of the tests' own; the processes that have it open are the real program's.
@Suite struct `The plane's token` {
    private let place: TestTokens
    private let state: TemporaryDirectory

    init() throws {
        place = try TestTokens()
        state = try temporaryDirectory()
        try place.make("plane")
    }

    private func token(_ label: String = "plane") throws -> KeyToken {
        KeyToken(
            try TokenAddress(place.store(label)), directory: state.path, program: RunningPlane.program)
    }

    private func problem(_ body: () throws -> Void) -> TokenProblem? {
        #expect(throws: TokenProblem.self) { try body() }
    }

    @Test func `makes keys that sign and seal, and that nobody gets out of it`() throws {
        let token = try token()
        let (id, point) = try token.makeSigningKey(label: "root")
        let publicKey = try P256.Signing.PublicKey(x963Representation: point)
        let key = TokenSigningKey(token, id: id, publicKey: publicKey)
        let text = Array("what is signed".utf8)
        #expect(publicKey.isValidSignature(try key.signature(for: text), for: text))
        let wrapping = try token.makeWrappingKey(label: "backups")
        let (nonce, context) = (RandomBytes.make(12), Array("alpha".utf8))
        let sealed = try token.seal(wrapping, nonce: nonce, context: context, text)
        #expect(sealed.count == text.count + 16)
        #expect(try token.unseal(wrapping, nonce: nonce, context: context, sealed) == text)
        #expect(try token.missing(of: [id, wrapping, [1, 2, 3]]) == [[1, 2, 3]])

        #expect(throws: TokenProblem.self) { _ = try key.serializeAsPEM(discriminator: "PRIVATE KEY") }
        let stolen = try place.steal()
        #expect(stolen.dropLast() == ["root:", "backups:"], "\(stolen)")
        #expect(stolen.last == "own: value wrapped wraps copied loosened", "the thief knows how")
        // And the keys are as they were.
        #expect(publicKey.isValidSignature(try key.signature(for: text), for: text))
        try token.destroy(id)
        #expect(try token.missing(of: [id, wrapping]) == [id])
    }

    @Test func `opens nothing that was changed, or sealed for something else`() throws {
        let token = try token()
        let wrapping = try WrappingKey.create(in: token)
        let secret = RandomBytes.make(32)
        let salt = RandomBytes.make(32)
        let context = KeyContext(cluster: "alpha", backup: "base", id: "1")
        let wrapped = try wrapping.wrap(secret, salt: salt, for: context)
        #expect(wrapped.count == 12 + 12 + 32 + 16 + 16)
        let again = try WrappingKey(named: wrapping.id, in: token)
        #expect(try again.unwrap(wrapped, salt: salt, for: context) == secret)
        for offset in [0, 11, 12, 40, 87] {
            var changed = wrapped
            changed[offset] ^= 1
            #expect(try wrapping.unwrap(changed, salt: salt, for: context) == nil)
        }
        for length in [0, 12, 13, 27, 28, 40] {
            #expect(try wrapping.unwrap(Array(wrapped.prefix(length)), salt: salt, for: context) == nil)
        }
        let other = KeyContext(cluster: "beta", backup: "base", id: "1")
        #expect(try wrapping.unwrap(wrapped, salt: salt, for: other) == nil)
        #expect(try wrapping.unwrap(wrapped, salt: RandomBytes.make(32), for: context) == nil, "the salt is forgotten")
        let second = try WrappingKey.create(in: token)
        #expect(try second.unwrap(wrapped, salt: salt, for: context) == nil && second.id != wrapping.id)
        #expect(token.condition.fault == nil)
        #expect(try wrapping.unwrap(wrapped, salt: salt, for: context) == secret)
    }

    @Test func `is refused where it makes keys that can leave it, and does not keep them`() throws {
        let token = try token()
        try place.lie()
        for make in [
            { _ = try token.makeSigningKey(label: "root") }, { _ = try token.makeWrappingKey(label: "backups") },
        ] {
            let problem = problem(make)
            #expect(problem?.fault == nil && problem?.text.contains("can leave it") == true, "\(problem?.text ?? "")")
        }
        let listed = try place.tool("plane", ["--list-objects"])
        #expect(listed.succeeded && !listed.output.contains("ID:"), "\(listed)")
        #expect(token.condition.fault == nil)
    }

    @Test func `that signs with another key is found out`() throws {
        let token = try token()
        let (id, _) = try token.makeSigningKey(label: "root")
        let key = TokenSigningKey(token, id: id, publicKey: P256.Signing.PrivateKey().publicKey)
        let problem = problem { _ = try key.signature(for: [1]) }
        #expect(problem?.text.contains("is not signed with the key") == true)
    }

    @Test func `that hangs holds a call up for no longer than its limit, and the next one not at all`() throws {
        let token = try token()
        let (id, _) = try token.makeSigningKey(label: "root")
        let digest = Array(SHA256.hash(data: [1]))
        _ = try token.sign(id, digest: digest)
        try place.hang()
        let clock = ContinuousClock()
        var found: TokenProblem?
        let first = clock.measure { found = problem { _ = try token.sign(id, digest: digest) } }
        #expect(found?.fault == .silent && first < .seconds(20))
        #expect(token.tend()?.condition.fault == .silent)
        let second = clock.measure { found = problem { _ = try token.sign(id, digest: digest) } }
        #expect(found?.fault == .silent && second < .seconds(1))
        try place.goOn()
        var news: (condition: KeyToken.Condition, failedCalls: Int64)?
        #expect(
            eventuallyBlocking(within: 30) {
                news = token.tend()
                return news != nil
            })
        #expect(news?.condition.fault == nil && news?.failedCalls == 1, "\(String(describing: news))")
        _ = try token.sign(id, digest: digest)
    }

    @Test func `that is pulled out is noticed though nobody signs, and used again when it is back`() throws {
        let token = try token()
        let (id, _) = try token.makeSigningKey(label: "root")
        let digest = Array(SHA256.hash(data: [1]))
        _ = try token.sign(id, digest: digest)
        try place.pull()
        #expect(eventuallyBlocking(within: 30) { token.tend()?.condition.fault == .unreachable })
        let problem = problem { _ = try token.sign(id, digest: digest) }
        #expect(problem?.refusal.reason == "keys-unavailable")
        try place.putBack()
        let isWell = KeyToken.Condition(fault: nil, detail: "")
        #expect(eventuallyBlocking(within: 30) { token.tend()?.condition == isWell })
        _ = try token.sign(id, digest: digest)
    }

    @Test func `hears a wrong PIN once, whoever starts anew, until its file changes`() throws {
        try place.folder.write("000000\n", to: "pin")
        for _ in 0..<3 {
            let token = try token()
            for _ in 0..<3 { #expect(problem { try token.open() }?.fault == .pinRefused) }
        }
        #expect(place.loginCount == 1)
        // As systemd mounts a credential at each start: another file of the same PIN.
        try FileManager.default.removeItem(atPath: place.pinFile)
        try place.folder.write("000000\n", to: "pin")
        #expect(problem { try self.token().open() }?.fault == .pinRefused && place.loginCount == 1)
        // A verb that has no credentials neither tries it nor forgets.
        try FileManager.default.removeItem(atPath: place.pinFile)
        #expect(problem { try self.token().open() }?.fault == .unreachable)
        try place.folder.write("000000\n", to: "pin")
        #expect(problem { try self.token().open() }?.fault == .pinRefused && place.loginCount == 1)
        try place.folder.write("000001\n", to: "pin")
        let token = try token()
        #expect(problem { try token.open() }?.fault == .pinRefused && place.loginCount == 2)
        #expect(problem { try token.open() }?.description.contains("000001") == false)
        try place.folder.write(TestTokens.pin, to: "pin")
        try token.open()
        #expect(place.loginCount == 3 && token.condition.fault == nil)
        try place.folder.write("", to: "pin")
        #expect(problem { try self.token().open() }?.fault == .unreachable && place.loginCount == 3)
    }

    @Test func `does not hear a PIN whose refusal could not be noted`() throws {
        try FileManager.default.createDirectory(
            atPath: RefusedPIN.file(in: state.path) + "/x", withIntermediateDirectories: true)
        let refused = problem { try self.token().open() }
        #expect(refused?.fault == .pinRefused && place.loginCount == 0, "what cannot be read may be a refusal")
        try FileManager.default.removeItem(atPath: RefusedPIN.file(in: state.path))
        let away = KeyToken(
            try TokenAddress(place.store("plane")), directory: state.file("away"), program: RunningPlane.program)
        let found = problem { try away.open() }
        #expect(found?.fault == .unreachable && found?.text.contains("PIN is not tried") == true)
        #expect(place.loginCount == 0)
        try token().open()
        #expect(place.loginCount == 1)
    }

    /// CKR_OK and CKR_PIN_INCORRECT (PKCS #11 §2.1).
    private static let (ok, incorrect): (UInt, UInt) = (0, 0xA0)

    @Test func `hears a PIN twice that it did not answer, and once where it says that one was wrong`() throws {
        let path = RefusedPIN.file(in: state.path)
        let record = RefusedPIN(path: path, token: "pkcs11:token=a")
        var calls = 0
        /// The process ends before there is an answer: what is on the disk by then stays.
        func tryOnce(isCountLow: Bool = false) throws {
            var kept = Data()
            _ = try Array("1234".utf8).withUnsafeBytes { pin in
                try record.guarding(pin, isCountLow: isCountLow) {
                    calls += 1
                    kept = FileManager.default.contents(atPath: path) ?? Data()
                    return Self.ok
                }
            }
            #expect(!FileManager.default.fileExists(atPath: path) && !kept.isEmpty)
            try kept.write(to: URL(fileURLWithPath: path))
        }
        try tryOnce()
        #expect(throws: TokenError.self) { try tryOnce(isCountLow: true) }
        try tryOnce()
        #expect(throws: TokenError.self) { try tryOnce() }
        #expect(calls == 2)
        let other = RefusedPIN(path: path, token: "pkcs11:token=b")
        let state = try Array("1234".utf8).withUnsafeBytes { pin in
            try other.guarding(pin, isCountLow: false) { Self.incorrect }
        }
        #expect(state == Self.incorrect)
        #expect(throws: TokenError.self) {
            try Array("1234".utf8).withUnsafeBytes { try other.guarding($0, isCountLow: false) { Self.ok } }
        }
    }

    @Test func `has no more sessions than it is to have`() async throws {
        let token = try token()
        let (id, _) = try token.makeSigningKey(label: "root")
        let digest = Array(SHA256.hash(data: [1]))
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<12 {
                group.addTask {
                    try await blocking {
                        try (0..<8).reduce(0) { count, _ in try count + token.sign(id, digest: digest).count }
                    }
                }
            }
            for try await bytes in group { #expect(bytes == 8 * 64) }
        }
        #expect((1...KeyToken.sessionLimit).contains(place.loginCount))
    }

    @Test func `is no token where the module or the label is wrong`() throws {
        #expect(problem { try self.token("other").open() }?.text.contains("0 tokens") == true)
        let address = try TokenAddress("pkcs11:token=plane?module-path=/lib/x86_64-linux-gnu/libm.so.6")
        let token = KeyToken(address, directory: state.path, program: RunningPlane.program)
        #expect(problem { try token.open() }?.text.contains("is no PKCS #11 module") == true)
    }
}
