import OpenSSL

/// Keys that a TPM has wrapped: they lie in the state folder, and only this TPM can use them.
struct TPMBackend: TokenBackend {
    private let module: TrustedPlatformModule

    init() throws(TokenError) {
        do throws(OpenSSLError) {
            module = try TrustedPlatformModule()
        } catch {
            throw .fault(.unreachable, error.description)
        }
    }

    func sign(key: [UInt8], _ operation: TokenOperation) throws(TokenError) -> [UInt8] {
        guard case .ecdsa(let digest) = operation else { throw .refused("only EC keys are made in a TPM") }
        do throws(OpenSSLError) {
            return try module.sign(digest, wrappedKey: key)
        } catch {
            throw .fault(.unreachable, error.description)
        }
    }

    func generate(_ kind: KeyKind, name: [UInt8], label: String) throws(TokenError) -> (
        key: [UInt8], publicKey: [UInt8]
    ) {
        guard kind == .ecP256 else { throw .refused("only keys of the kind ec-p256 are made in a TPM") }
        do throws(OpenSSLError) {
            let (wrapped, publicKey) = try module.generate()
            return (wrapped, publicKey)
        } catch {
            throw .fault(.unreachable, error.description)
        }
    }

    /// The TPM keeps nothing of it: with the file the key is gone.
    func destroy(key: [UInt8]) {}
}
