import COpenSSL
import IO

/// AES-256-GCM under one key, with 12-byte nonces and 16-byte tags; one user at a time, contexts used again.
///
/// The caller never uses a nonce twice under a key.
package final class AES256GCM {
    package static let tagCount = 16
    package static let nonceCount = 12
    private let sealer: OpaquePointer
    private let opener: OpaquePointer

    package init(key: borrowing SecretBytes) throws(OpenSSLError) {
        guard key.count == 32 else { throw OpenSSLError("set up AES-256-GCM", "the key has not 32 bytes") }
        OpenSSLLibrary.prepare()
        ErrorStack.clear()
        guard let sealer = EVP_CIPHER_CTX_new(), let opener = EVP_CIPHER_CTX_new() else {
            preconditionFailure("out of memory")
        }
        self.sealer = sealer
        self.opener = opener
        let isReady = key.withUnsafeBytes { key in
            let start = key.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return EVP_EncryptInit_ex2(sealer, Algorithms.aes256GCM, start, nil, nil) == 1
                && EVP_DecryptInit_ex2(opener, Algorithms.aes256GCM, start, nil, nil) == 1
        }
        guard isReady else { throw OpenSSLError(stackAfter: "set up AES-256-GCM") }
    }

    /// OpenSSL wipes the key schedules when it frees the contexts.
    deinit {
        EVP_CIPHER_CTX_free(sealer)
        EVP_CIPHER_CTX_free(opener)
    }

    /// Consumes all of `plain`; appends the ciphertext and then the tag.
    package func seal(
        iv: [UInt8], aad: [UInt8], plain: LaneBuffer, into output: LaneBuffer
    ) throws(OpenSSLError) {
        precondition(output.freeCount >= plain.count + Self.tagCount, "the output buffer is too small")
        let isSealed = output.withFreeSpace { space in
            plain.withReadableBytes { seal(iv: iv, aad: aad, plain: $0, into: space) ? $0.count + Self.tagCount : 0 }
        }
        guard isSealed > 0 else { throw OpenSSLError(stackAfter: "seal with AES-256-GCM") }
        plain.consume(plain.count)
    }

    /// Consumes `count` bytes of `cipher` and appends their plaintext, if the tag is right.
    ///
    /// Otherwise false: then nothing was appended or consumed.
    package func open(
        iv: [UInt8], aad: [UInt8], cipher: LaneBuffer, count: Int, tag: [UInt8], into output: LaneBuffer
    ) -> Bool {
        precondition(count <= cipher.count && count <= output.freeCount, "the buffers are too small")
        var isGenuine = false
        output.withFreeSpace { space in
            isGenuine = cipher.withReadableBytes {
                open(
                    iv: iv, aad: aad, cipher: UnsafeRawBufferPointer(rebasing: $0.prefix(count)), tag: tag, into: space)
            }
            return isGenuine ? count : 0
        }
        if isGenuine { cipher.consume(count) }
        return isGenuine
    }

    /// Ciphertext and tag.
    package func seal(iv: [UInt8], aad: [UInt8], _ plain: [UInt8]) throws(OpenSSLError) -> [UInt8] {
        let count = plain.count + Self.tagCount
        var isSealed = false
        let output = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            isSealed = plain.withUnsafeBytes {
                seal(iv: iv, aad: aad, plain: $0, into: UnsafeMutableRawBufferPointer(buffer))
            }
            filled = isSealed ? count : 0
        }
        guard isSealed else { throw OpenSSLError(stackAfter: "seal with AES-256-GCM") }
        return output
    }

    /// Opens ciphertext and tag; nil when they are not genuine.
    package func open(iv: [UInt8], aad: [UInt8], _ sealed: [UInt8]) -> [UInt8]? {
        guard sealed.count >= Self.tagCount else { return nil }
        let count = sealed.count - Self.tagCount
        var isGenuine = false
        let output = [UInt8](unsafeUninitializedCapacity: max(count, 1)) { buffer, filled in
            isGenuine = sealed.withUnsafeBytes {
                open(
                    iv: iv, aad: aad, cipher: UnsafeRawBufferPointer(rebasing: $0.prefix(count)),
                    tag: Array(sealed.suffix(Self.tagCount)), into: UnsafeMutableRawBufferPointer(buffer))
            }
            filled = isGenuine ? count : 0
        }
        return isGenuine ? output : nil
    }

    private func seal(
        iv: [UInt8], aad: [UInt8], plain: UnsafeRawBufferPointer, into space: UnsafeMutableRawBufferPointer
    ) -> Bool {
        precondition(iv.count == Self.nonceCount && plain.count < Int(Int32.max))
        guard let start = space.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
        ErrorStack.clear()
        var written: Int32 = 0
        guard EVP_EncryptInit_ex2(sealer, nil, nil, iv, nil) == 1,
            aad.isEmpty || EVP_EncryptUpdate(sealer, nil, &written, aad, Int32(aad.count)) == 1
        else { return false }
        written = 0
        if let bytes = plain.baseAddress?.assumingMemoryBound(to: UInt8.self), !plain.isEmpty {
            guard EVP_EncryptUpdate(sealer, start, &written, bytes, Int32(plain.count)) == 1 else { return false }
        }
        var rest: Int32 = 0
        return EVP_EncryptFinal_ex(sealer, start + Int(written), &rest) == 1
            && EVP_CIPHER_CTX_ctrl(sealer, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagCount), start + plain.count) == 1
    }

    private func open(
        iv: [UInt8], aad: [UInt8], cipher: UnsafeRawBufferPointer, tag: [UInt8],
        into space: UnsafeMutableRawBufferPointer
    ) -> Bool {
        precondition(iv.count == Self.nonceCount && cipher.count < Int(Int32.max))
        guard tag.count == Self.tagCount else { return false }
        guard let start = space.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
        ErrorStack.clear()
        defer { ErrorStack.clear() }
        var tag = tag
        var written: Int32 = 0
        guard EVP_DecryptInit_ex2(opener, nil, nil, iv, nil) == 1,
            aad.isEmpty || EVP_DecryptUpdate(opener, nil, &written, aad, Int32(aad.count)) == 1
        else { return false }
        written = 0
        if let bytes = cipher.baseAddress?.assumingMemoryBound(to: UInt8.self), !cipher.isEmpty {
            guard EVP_DecryptUpdate(opener, start, &written, bytes, Int32(cipher.count)) == 1 else { return false }
        }
        var rest: Int32 = 0
        let isGenuine =
            EVP_CIPHER_CTX_ctrl(opener, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagCount), &tag) == 1
            && EVP_DecryptFinal_ex(opener, start + Int(written), &rest) == 1
        // What was not proven genuine is not left lying about.
        if !isGenuine { OPENSSL_cleanse(start, cipher.count) }
        return isGenuine
    }
}
