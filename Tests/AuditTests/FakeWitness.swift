import Foundation
import OpenSSL

@testable import Audit

/// The plane's witness, written from the specification once more, so that both sides are not wrong in the same way.
struct FakeWitness: Sendable {
    let name: String
    private let key: PrivateKey
    private let publicKey: [UInt8]

    init(name: String = "plane.example") throws {
        self.name = name
        key = try PrivateKey.generate(.ed25519)
        publicKey = Array(key.publicKeyDER.suffix(32))
    }

    private var keyHash: [UInt8] { Array(Digest.sha256(Array("\(name)\n".utf8) + [4] + publicKey).prefix(4)) }

    var verifierKey: String {
        let hash = keyHash.map { String(format: "%02x", $0) }.joined()
        return "\(name)+\(hash)+\(Data([4] + publicKey).base64EncodedString())"
    }

    func cosign(_ text: String) throws -> String {
        let time: UInt64 = 1_795_000_000
        let stamp = withUnsafeBytes(of: time.bigEndian) { Array($0) }
        let signature = try key.sign(Array("cosignature/v1\ntime \(time)\n\(text)".utf8))
        return "\u{2014} \(name) \(Data(keyHash + stamp + signature).base64EncodedString())\n"
    }
}
