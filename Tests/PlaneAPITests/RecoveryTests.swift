import Foundation
import PlaneAPI
import Testing

@Suite struct `The proof of a recovery key` {
    @Test func `is read as it was written, and is no join token`() throws {
        let password = Recovery.password(challenge: "abc_-9", signature: [0, 255, 16])
        let parts = try #require(Recovery.parts(ofPassword: password))
        #expect(parts.challenge == "abc_-9" && parts.signature == [0, 255, 16])
        for text in [
            "", "recovery", "recovery.a", "recovery.a.!", "0011223344556677.AAAA", "recovery.a.AA.AA", "x.a.AA",
        ] {
            #expect(Recovery.parts(ofPassword: text) == nil, "\(text)")
        }
        #expect(Recovery.parts(ofPassword: "recovery." + String(repeating: "a", count: 1000) + ".AA") == nil)
    }

    @Test func `is over all that it is about`() {
        let base = Recovery.signedBytes(challenge: "c", cluster: "k", node: "n", requestDigest: [1])
        #expect(String(decoding: base.dropLast(), as: UTF8.self) == "nodeguard recovery 1\nk\nn\nc\n")
        let others = [
            Recovery.signedBytes(challenge: "d", cluster: "k", node: "n", requestDigest: [1]),
            Recovery.signedBytes(challenge: "c", cluster: "l", node: "n", requestDigest: [1]),
            Recovery.signedBytes(challenge: "c", cluster: "k", node: "m", requestDigest: [1]),
            Recovery.signedBytes(challenge: "c", cluster: "k", node: "n", requestDigest: [2]),
        ]
        #expect(!others.contains(base))
    }
}
