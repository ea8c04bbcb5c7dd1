/// Where private keys are made and stay.
package enum KeyStore: Sendable, Hashable, CustomStringConvertible {
    case pkcs11(TokenURI)
    /// A TPM 2.0, reached by TSS's words for the way to it (tcti-device(7)); nil: the kernel's own.
    case tpm(String?)

    /// The kernel's resource manager: several programs use the TPM at once.
    package static let device = "device:/dev/tpmrm0"

    package init(_ text: String) throws(TokenURI.Flaw) {
        if text == "tpm" {
            self = .tpm(nil)
        } else if text.hasPrefix("tpm:") {
            let way = String(text.dropFirst("tpm:".count))
            guard !way.isEmpty, way.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw TokenURI.Flaw(text: "'\(text)' must be tpm, or tpm: and a TCTI, such as tpm:\(Self.device)")
            }
            self = .tpm(way)
        } else if text.hasPrefix("handle:") {
            throw TokenURI.Flaw(
                text: "a persistent handle holds one key, and each renewal makes a new one: write tpm, whose keys lie "
                    + "in the state folder, wrapped by the TPM")
        } else {
            self = .pkcs11(try TokenURI(text))
        }
    }

    /// Read by `init`.
    package var text: String {
        switch self {
        case .pkcs11(let uri): uri.text
        case .tpm(let way): way.map { "tpm:" + $0 } ?? "tpm"
        }
    }

    /// For people: without module and PIN.
    package var description: String {
        switch self {
        case .pkcs11(let uri): uri.name
        case .tpm: "tpm"
        }
    }
}
