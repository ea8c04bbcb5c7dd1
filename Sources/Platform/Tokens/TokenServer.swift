import Glibc
import IO
import OpenSSL

/// The other process: it has one token open, does what it is asked, one thing at a time, and ends with its parent.
///
/// A process and no thread: a module that hangs is killed with it, one that crashes takes nothing along, and neither
/// its code nor the token's PIN gets into the process that has the connections (as OpenSSH: ssh-pkcs11-helper(8)).
package enum TokenServer {
    /// Serves the socket that it was started with as its standard input; returns when the parent is gone, or the token.
    package static func run() {
        let socket = SeqPacketSocket(owning: STDIN_FILENO)
        var backend: (any TokenBackend)?
        while let message = try? socket.receive(limit: TokenWire.messageLimit), !message.bytes.isEmpty {
            guard let request: TokenRequest = TokenWire.decode(message.bytes) else { return }
            let answer: TokenAnswer
            do throws(TokenError) {
                answer = try perform(request, &backend)
            } catch {
                answer = error.answer
            }
            guard (try? socket.send(TokenWire.encode(answer))) != nil else { return }
            if case .failed = answer { return }
        }
    }

    private static func perform(
        _ request: TokenRequest, _ backend: inout (any TokenBackend)?
    ) throws(TokenError) -> TokenAnswer {
        if case .open(let text, let record) = request {
            backend = try open(text, record)
            return .done
        }
        guard let backend else { throw .refused("no token is open") }
        switch request {
        case .open: return .done
        case .sign(let key, let operation): return .signature(try backend.sign(key: key, operation))
        case .generate(let word, let name, let label):
            guard let kind = KeyKind(rawValue: word) else { throw .refused("there is no kind of key '\(word)'") }
            let made = try backend.generate(kind, name: name, label: label)
            return .generated(key: made.key, publicKey: made.publicKey)
        case .destroy(let key):
            try backend.destroy(key: key)
            return .done
        }
    }

    private static func open(_ text: String, _ record: String) throws(TokenError) -> any TokenBackend {
        let store: KeyStore
        do throws(TokenURI.Flaw) {
            store = try KeyStore(text)
        } catch {
            throw .refused(error.text)
        }
        switch store {
        case .pkcs11(let uri): return try PKCS11Backend(uri, PINRecord(path: record, token: text))
        case .tpm(let way):
            setenv("TPM2OPENSSL_TCTI", way ?? KeyStore.device, 1)
            // What it would print is in the errors that it returns.
            setenv("TSS2_LOG", "all+NONE", 1)
            return try TPMBackend()
        }
    }
}
