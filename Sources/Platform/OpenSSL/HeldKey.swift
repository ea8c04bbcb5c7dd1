import COpenSSL

/// OpenSSL's view of a key whose private half is elsewhere: the public half, and methods that ask its holder.
///
/// A key with such a method works in every library context, the trimmed one of the listeners too: OpenSSL 3 treats it
/// as foreign (`detect_foreign_key`, p_lib.c) and signs by the method, whatever providers there are.
enum HeldKey {
    /// The reason on OpenSSL's error stack, under `ERR_LIB_USER`, when the holder did not do it.
    static let reason: Int32 = 100

    /// An `EVP_PKEY` of the caller's; nil if the public key is neither EC nor RSA.
    static func make(publicKeyDER: [UInt8], holder: any KeyHolder) -> OpaquePointer? {
        publicKeyDER.withUnsafeBufferPointer { der -> OpaquePointer? in
            var next = der.baseAddress
            guard let plain = d2i_PUBKEY(nil, &next, der.count), next == der.baseAddress.map({ $0 + der.count })
            else { return nil }
            defer { EVP_PKEY_free(plain) }
            guard let key = EVP_PKEY_new() else { return nil }
            let isMade =
                switch EVP_PKEY_get_base_id(plain) {
                case EVP_PKEY_EC: assignEC(to: key, EVP_PKEY_get1_EC_KEY(plain), holder)
                case EVP_PKEY_RSA: assignRSA(to: key, EVP_PKEY_get1_RSA(plain), holder)
                default: false
                }
            if isMade { return key }
            EVP_PKEY_free(key)
            return nil
        }
    }

    private static func assignEC(to key: OpaquePointer, _ half: OpaquePointer?, _ holder: any KeyHolder) -> Bool {
        guard let half, let place = ecPlace, let method = ecMethod else { return false }
        let box = Unmanaged.passRetained(Box(holder))
        guard EC_KEY_set_method(half, method) == 1, EC_KEY_set_ex_data(half, place, box.toOpaque()) == 1 else {
            box.release()
            EC_KEY_free(half)
            return false
        }
        guard EVP_PKEY_assign(key, EVP_PKEY_EC, UnsafeMutableRawPointer(half)) == 1 else {
            EC_KEY_free(half)
            return false
        }
        return true
    }

    private static func assignRSA(to key: OpaquePointer, _ half: OpaquePointer?, _ holder: any KeyHolder) -> Bool {
        guard let half, let place = rsaPlace, let method = rsaMethod else { return false }
        let box = Unmanaged.passRetained(Box(holder))
        guard RSA_set_method(half, method) == 1, RSA_set_ex_data(half, place, box.toOpaque()) == 1 else {
            box.release()
            RSA_free(half)
            return false
        }
        guard EVP_PKEY_assign(key, EVP_PKEY_RSA, UnsafeMutableRawPointer(half)) == 1 else {
            RSA_free(half)
            return false
        }
        return true
    }

    // MARK: what OpenSSL calls

    private final class Box {
        let holder: any KeyHolder
        init(_ holder: any KeyHolder) { self.holder = holder }
    }

    private static let ecPlace = place(CRYPTO_EX_INDEX_EC_KEY)
    private static let rsaPlace = place(CRYPTO_EX_INDEX_RSA)

    /// The key's own slot for its holder, which goes with it (CRYPTO_get_ex_new_index(3)).
    private static func place(_ kind: Int32) -> Int32? {
        let index = CRYPTO_get_ex_new_index(
            kind, 0, nil, nil, nil,
            { _, held, _, _, _, _ in
                if let held { Unmanaged<Box>.fromOpaque(held).release() }
            })
        return index >= 0 ? index : nil
    }

    nonisolated(unsafe) private static let ecMethod: OpaquePointer? = {
        guard let method = EC_KEY_METHOD_new(EC_KEY_OpenSSL()) else { return nil }
        EC_KEY_METHOD_set_sign(
            method,
            { _, digest, count, signature, signatureCount, _, _, key in
                guard let digest, let signature, let key, let place = ecPlace,
                    let held = EC_KEY_get_ex_data(key, place)
                else { return 0 }
                let bytes = Array(UnsafeBufferPointer(start: digest, count: Int(count)))
                let made = ask(held, .ecdsa(digest: bytes), into: signature, limit: Int(ECDSA_size(key)))
                signatureCount?.pointee = UInt32(max(made, 0))
                return made > 0 ? 1 : 0
            }, nil, nil)
        return method
    }()

    nonisolated(unsafe) private static let rsaMethod: OpaquePointer? = {
        guard let method = RSA_meth_dup(RSA_PKCS1_OpenSSL()) else { return nil }
        // The private numbers are not in this memory (RSA_set_flags(3)).
        RSA_meth_set_flags(method, RSA_meth_get_flags(method) | RSA_FLAG_EXT_PKEY)
        RSA_meth_set_priv_enc(method) { count, input, output, key, padding in
            guard let input, let output, let key, let place = rsaPlace, let held = RSA_get_ex_data(key, place) else {
                return -1
            }
            let bytes = Array(UnsafeBufferPointer(start: input, count: Int(count)))
            let operation: KeyOperation? =
                switch padding {
                case RSA_PKCS1_PADDING: .rsaPKCS1(digestInfo: bytes)
                case RSA_NO_PADDING: .rsaRaw(block: bytes)
                default: nil
                }
            return operation.map { ask(held, $0, into: output, limit: Int(RSA_size(key))) } ?? -1
        }
        return method
    }()

    /// The length of the answer; -1: there is none.
    private static func ask(
        _ held: UnsafeMutableRawPointer, _ operation: KeyOperation, into place: UnsafeMutablePointer<UInt8>, limit: Int
    ) -> Int32 {
        let holder = Unmanaged<Box>.fromOpaque(held).takeUnretainedValue().holder
        guard let answer = holder.perform(operation), !answer.isEmpty, answer.count <= limit else {
            COpenSSL_raise(reason)
            return -1
        }
        place.update(from: answer, count: answer.count)
        return Int32(answer.count)
    }
}
