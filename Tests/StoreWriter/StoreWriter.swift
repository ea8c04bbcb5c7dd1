import Certificates
import IO
import OpenSSL

/// Puts one certificate into a store, as the agent does, and nothing else: a process that can be killed at any system
/// call. Arguments: the state folder, the role, and the files of chain and key.
@main
enum StoreWriter {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5 else {
            throw IOError("nodeguard-store-writer STATE ROLE CHAIN KEY", code: 22, words: "four arguments are needed")
        }
        let identity = try TLSIdentity(
            chainFile: try Files.read(arguments[3], limit: 1 << 20), keyFile: arguments[4])
        _ = try CertificateStore(role: arguments[2], stateDirectory: arguments[1]).publish(identity, joinedWith: nil)
    }
}
