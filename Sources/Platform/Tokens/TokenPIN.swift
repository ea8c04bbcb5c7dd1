import Glibc
import IO
import OpenSSL

/// A PIN, read where its URI says each time that it is needed; it never stays.
enum TokenPIN {
    static func path(_ source: TokenURI.PIN) -> String? {
        switch source {
        case .file(let path): path
        case .credential(let name): getenv("CREDENTIALS_DIRECTORY").map { String(cString: $0) + "/" + name }
        }
    }

    /// Without the line's end that an editor adds.
    static func read(_ source: TokenURI.PIN) throws(OpenSSLError) -> SecretReference {
        guard let path = path(source) else {
            throw OpenSSLError("read the PIN", "the service has no credentials ($CREDENTIALS_DIRECTORY is not set)")
        }
        let text = try SecretReference.contents(of: path)
        return text.withBytes { bytes in
            var count = bytes.count
            while count > 0, bytes[count - 1] == 0x0A || bytes[count - 1] == 0x0D { count -= 1 }
            return SecretReference(SecretBytes(copying: bytes.extracting(0..<count)))
        }
    }
}

enum Hex {
    static func text(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
