import COpenSSL
import IO

/// Message digests. The algorithm is fetched once: each fetch takes OpenSSL's global locks (openssl#20286).
package enum Digest {
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { sha256($0) }
    }

    package static func sha256(_ buffer: LaneBuffer) -> [UInt8] {
        buffer.withReadableBytes { sha256($0) }
    }

    static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { output, count in
            let result = EVP_Digest(
                bytes.baseAddress, bytes.count, output.baseAddress, nil, Algorithms.sha256, nil)
            precondition(result == 1, "SHA-256 is not available")
            count = 32
        }
    }

    /// SHA-256 of bytes that come one after the other; can be used again after `finish`.
    package final class SHA256 {
        private let context: OpaquePointer

        package init() {
            OpenSSLLibrary.prepare()
            guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
            self.context = context
            restart()
        }

        deinit { EVP_MD_CTX_free(context) }

        package func update(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { update($0) }
        }

        package func update(_ bytes: ArraySlice<UInt8>) {
            bytes.withUnsafeBytes { update($0) }
        }

        package func update(_ byte: UInt8) {
            withUnsafeBytes(of: byte) { update($0) }
        }

        /// Leaves the bytes in the buffer.
        package func update(_ buffer: LaneBuffer) {
            buffer.withReadableBytes { update($0) }
        }

        private func update(_ bytes: UnsafeRawBufferPointer) {
            precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "SHA-256 is not available")
        }

        package func finish() -> [UInt8] {
            var digest = [UInt8](repeating: 0, count: 32)
            precondition(EVP_DigestFinal_ex(context, &digest, nil) == 1, "SHA-256 is not available")
            restart()
            return digest
        }

        /// Appends the digest.
        package func finish(to out: inout [UInt8]) {
            let start = out.count
            out.append(contentsOf: repeatElement(0, count: 32))
            out.withUnsafeMutableBufferPointer { bytes in
                let end = bytes.baseAddress.map { $0 + start }
                precondition(EVP_DigestFinal_ex(context, end, nil) == 1, "SHA-256 is not available")
            }
            restart()
        }

        private func restart() {
            precondition(EVP_DigestInit_ex2(context, Algorithms.sha256, nil) == 1, "SHA-256 is not available")
        }
    }

    /// CRC-32C (Castagnoli) of `bytes`, continued from `start`.
    package static func crc32c(_ bytes: [UInt8], continuing start: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { CRC32C.update(start, $0) }
    }

    /// Leaves the bytes in the buffer.
    package static func crc32c(_ buffer: LaneBuffer, continuing start: UInt32 = 0) -> UInt32 {
        buffer.withReadableBytes { CRC32C.update(start, $0) }
    }
}

/// Algorithms that live as long as the process; OpenSSL changes none after it was fetched (EVP_MD_fetch(3)).
enum Algorithms {
    nonisolated(unsafe) static let sha256 = fetchDigest("SHA256")
    nonisolated(unsafe) static let aes256GCM = fetchCipher("AES-256-GCM")
    nonisolated(unsafe) static let aes256CBC = fetchCipher("AES-256-CBC")
    nonisolated(unsafe) static let hkdf: OpaquePointer = {
        OpenSSLLibrary.prepare()
        guard let function = EVP_KDF_fetch(nil, "HKDF", nil) else { preconditionFailure("HKDF is not available") }
        return function
    }()

    private static func fetchCipher(_ name: String) -> OpaquePointer {
        OpenSSLLibrary.prepare()
        guard let cipher = EVP_CIPHER_fetch(nil, name, nil) else { preconditionFailure("\(name) is not available") }
        return cipher
    }

    private static func fetchDigest(_ name: String) -> OpaquePointer {
        OpenSSLLibrary.prepare()
        guard let digest = EVP_MD_fetch(nil, name, nil) else { preconditionFailure("\(name) is not available") }
        return digest
    }
}
