import FoundationEssentials
import OpenSSL

/// What this process asks of the one that has a token open, and hears from it: one JSON message each, in turn. No
/// secret is among them.
enum TokenRequest: Codable {
    /// First, and once. `record`: the path of `PINRecord`.
    case open(store: String, record: String)
    case sign(key: [UInt8], TokenOperation)
    /// `name`: under which the key can be found again, whatever becomes of the answer; of PKCS #11.
    case generate(kind: String, name: [UInt8], label: String)
    case destroy(key: [UInt8])
}

enum TokenOperation: Codable {
    case ecdsa([UInt8])
    case rsaPKCS1([UInt8])
    case rsaRaw([UInt8])

    init(_ operation: KeyOperation) {
        self =
            switch operation {
            case .ecdsa(let digest): .ecdsa(digest)
            case .rsaPKCS1(let info): .rsaPKCS1(info)
            case .rsaRaw(let block): .rsaRaw(block)
            }
    }
}

enum TokenAnswer: Codable {
    case done
    case signature([UInt8])
    /// `key`: what `sign` and `destroy` are to be given.
    case generated(key: [UInt8], publicKey: [UInt8])
    /// Nothing more is to be had of this process.
    case failed(TokenStateMachine.Fault, String)
    /// The token is well, but does not do this.
    case refused(String)
}

enum TokenWire {
    /// An RSA key of 4096 bits and numbers as text are well below.
    static let messageLimit = 64 << 10

    static func encode(_ value: some Encodable) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            preconditionFailure("numbers and strings do not become JSON: \(error)")
        }
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8]) -> Value? {
        try? JSONDecoder().decode(Value.self, from: Data(bytes))
    }
}
