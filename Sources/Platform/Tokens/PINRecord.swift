import IO
import OpenSSL

/// On the disk: which state of the PIN's file the token has refused, so that no restart tries it again.
struct PINRecord: Sendable {
    private let folder: String
    private var path: String { "\(folder)/\(name)" }
    private let name: String
    private let source: TokenURI.PIN?

    init(_ store: KeyStore, stateDirectory: String) {
        folder = stateDirectory + "/tokens"
        name = Hex.text(Array(Digest.sha256(Array(store.description.utf8)).prefix(8))) + ".refused"
        source = if case .pkcs11(let uri) = store { uri.pin } else { nil }
    }

    private var mark: String {
        source.flatMap { TokenPIN.path($0) }.flatMap { FileMark(of: $0) }?.text ?? "no file"
    }

    private var refused: String? {
        (try? Files.read(path, limit: 1024)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The PIN that lies there now is the one that was refused.
    var isStanding: Bool { refused == mark }

    /// It was refused, and lies there no more.
    var hasPassed: Bool { refused.map { $0 != mark } ?? false }

    /// Best effort: where it cannot be written, the machine of this process still remembers.
    func write() {
        try? Files.makeDirectory(folder, mode: 0o700)
        try? Files.write(Array(mark.utf8), to: path, mode: 0o600)
    }

    func remove() { if Files.exists(path) { try? Files.remove(path) } }
}
