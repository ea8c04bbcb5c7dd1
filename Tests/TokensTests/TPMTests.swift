import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Tokens

@Suite(.serialized) struct `Keys in a TPM` {
    @Test func `sign, outlast the TPM's restart, and are nobody's without it`() async throws {
        let tpm = try await TestTPM()
        let state = try TemporaryDirectory()
        let store = try KeyStore(tpm.store)
        let keys = KeyTokens(
            stores: [store], stateDirectory: state.path, metrics: Metrics(), program: BuiltProgram.nodeguard)
        await keys.start()
        let running = Task { await keys.run() }
        defer { running.cancel() }
        var made: [PrivateKey] = []
        // More than a TPM has room for.
        for _ in 0..<4 {
            made.append(try await keys.generate(.ecP256, announced: keys.announce(in: store), label: "test"))
        }
        func areUsed() -> Bool {
            made.allSatisfy { key in
                guard let signature = try? key.sign([1, 2]) else { return false }
                return PrivateKey.verify(signature: signature, of: [1, 2], publicKeyDER: key.publicKeyDER)
            }
        }
        #expect(areUsed())
        let reference = try #require(made[0].holder).reference
        #expect(String(decoding: reference, as: UTF8.self).contains("tpm:"))
        #expect(throws: OpenSSLError.self) { _ = try made[0].pem() }

        await tpm.kill()
        #expect(throws: OpenSSLError.self) { _ = try made[0].sign([1]) }
        try await tpm.start()
        #expect(await eventually(within: 60) { areUsed() })

        tpm.halt()
        #expect(throws: OpenSSLError.self) { _ = try made[0].sign([1]) }
        let second = ContinuousClock.now
        #expect(throws: OpenSSLError.self) { _ = try made[0].sign([1]) }
        #expect(ContinuousClock.now - second < .seconds(1))
        try await tpm.goOn()
        #expect(await eventually(within: 60) { areUsed() })

        // Another TPM, which has another seed.
        let other = try await TestTPM()
        let strangers = KeyTokens(
            stores: [try KeyStore(other.store)], stateDirectory: state.path, metrics: Metrics(),
            program: BuiltProgram.nodeguard)
        await strangers.start()
        let text = String(decoding: reference, as: UTF8.self).replacing(tpm.store, with: other.store)
        let stolen = try strangers.key(try KeyReference(reading: Array(text.utf8)))
        #expect(throws: OpenSSLError.self) { _ = try stolen.sign([1]) }
    }
}
