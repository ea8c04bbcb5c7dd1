import CPKCS11
import Glibc

/// One session with the token, in which its user is logged in, and the keys that the plane uses by it.
final class TokenSession {
    private let module: TokenModule
    let handle: CK_SESSION_HANDLE
    /// By CKA_ID; good for as long as the session.
    private var known: [[UInt8]: CK_OBJECT_HANDLE] = [:]

    var functions: CK_FUNCTION_LIST { module.functions }

    init(_ address: TokenAddress, _ record: RefusedPIN) throws(TokenError) {
        module = try TokenModule(address)
        var handle: CK_SESSION_HANDLE = 0
        let state = module.functions.C_OpenSession(
            module.slot, CK_FLAGS(CKF_SERIAL_SESSION | CKF_RW_SESSION), nil, nil, &handle)
        guard state == CKR_OK else {
            throw .fault(.unreachable, "the token opens no session (\(TokenModule.name(state)))")
        }
        self.handle = handle
        if module.flags & CKF_LOGIN_REQUIRED != 0 { try logIn(address, record) }
    }

    /// Once, and not where it might be the last time.
    private func logIn(_ address: TokenAddress, _ record: RefusedPIN) throws(TokenError) {
        guard let file = address.pinFile else {
            throw .fault(
                .unreachable,
                address.pinSource == nil
                    ? "it wants a PIN, and the URI has no pin-source"
                    : "there are no credentials here (CREDENTIALS_DIRECTORY is not set)")
        }
        let state = try Self.withPIN(in: file) { (pin, count) throws(TokenError) in
            let bytes = UnsafeRawBufferPointer(start: pin, count: Int(count))
            guard module.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY) == 0 else {
                try record.bar(bytes)
                throw .fault(.pinLocked, "it says that its user's PIN is locked, or would be after one more mistake")
            }
            return try record.guarding(bytes, isCountLow: module.flags & CKF_USER_PIN_COUNT_LOW != 0) {
                functions.C_Login(handle, CK_USER_TYPE(CKU_USER), pin, count)
            }
        }
        switch state {
        case CKR_OK, CKR_USER_ALREADY_LOGGED_IN: return
        case CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED, CKR_USER_PIN_NOT_INITIALIZED:
            throw .fault(.pinRefused, "it does not take the PIN in \(file) (\(TokenModule.name(state)))")
        case CKR_PIN_LOCKED: throw .fault(.pinLocked, "its user's PIN is locked (CKR_PIN_LOCKED)")
        default: throw .fault(.unreachable, "it does not log its user in (\(TokenModule.name(state)))")
        }
    }

    private static let pinLimit = 256

    /// In memory that nothing else has a copy of, and that is wiped; without the line's end that an editor adds.
    private static func withPIN(
        in file: String, _ body: (UnsafeMutablePointer<UInt8>, CK_ULONG) throws(TokenError) -> CK_RV
    ) throws(TokenError) -> CK_RV {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .fault(.unreachable, "the PIN's file \(file) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: pinLimit)
        defer {
            explicit_bzero(bytes, pinLimit)
            bytes.deallocate()
        }
        var count = read(descriptor, bytes, pinLimit)
        while count > 0, bytes[count - 1] == 0x0A || bytes[count - 1] == 0x0D { count -= 1 }
        guard count > 0, count < pinLimit else {
            throw .fault(.unreachable, "the PIN's file \(file) is empty or too long")
        }
        return try body(bytes, CK_ULONG(count))
    }

    // MARK: keys

    func key(_ kind: CK_OBJECT_CLASS, _ id: [UInt8]) throws(TokenError) -> CK_OBJECT_HANDLE {
        if let one = known[id] { return one }
        let found = try find(kind, id)
        guard found.count == 1, let one = found.first else {
            throw .fault(.unreachable, "it has \(found.count) keys \(Hex.lower(id)), of one")
        }
        known[id] = one
        return one
    }

    func find(_ kind: CK_OBJECT_CLASS, _ id: [UInt8]) throws(TokenError) -> [CK_OBJECT_HANDLE] {
        var template = TokenTemplate()
        template.number(CKA_CLASS, kind)
        template.bytes(CKA_ID, id)
        try require(template.withAttributes { functions.C_FindObjectsInit(handle, $0, $1) }, "look for a key")
        var handles = [CK_OBJECT_HANDLE](repeating: 0, count: 4)
        var count: CK_ULONG = 0
        let state = functions.C_FindObjects(handle, &handles, CK_ULONG(handles.count), &count)
        try require(functions.C_FindObjectsFinal(handle), "look for a key")
        try require(state, "look for a key")
        return Array(handles.prefix(Int(count)))
    }

    func has(_ id: [UInt8]) throws(TokenError) -> Bool {
        for kind in [CKO_PRIVATE_KEY, CKO_SECRET_KEY] {
            if try find(CK_OBJECT_CLASS(kind), id).count == 1 { return true }
        }
        return false
    }

    func destroy(_ id: [UInt8]) throws(TokenError) {
        known[id] = nil
        for kind in [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY] {
            for key in try find(CK_OBJECT_CLASS(kind), id) {
                try require(functions.C_DestroyObject(handle, key), "destroy a key")
            }
        }
    }

    // MARK: using them

    /// r ‖ s.
    func sign(_ id: [UInt8], digest: [UInt8]) throws(TokenError) -> [UInt8] {
        var mechanism = CK_MECHANISM(mechanism: CK_MECHANISM_TYPE(CKM_ECDSA), pParameter: nil, ulParameterLen: 0)
        try require(functions.C_SignInit(handle, &mechanism, key(CK_OBJECT_CLASS(CKO_PRIVATE_KEY), id)), "sign")
        var (input, signature) = (digest, [UInt8](repeating: 0, count: 64))
        var count = CK_ULONG(signature.count)
        try require(functions.C_Sign(handle, &input, CK_ULONG(input.count), &signature, &count), "sign")
        guard count == 64 else { throw .refused("the token's signature has \(count) bytes, of 64") }
        return signature
    }

    /// AES-256-GCM with a tag of 16 bytes. nil: not what this key has sealed.
    func crypt(
        _ id: [UInt8], isSealing: Bool, nonce: [UInt8], context: [UInt8], _ text: [UInt8]
    ) throws(TokenError) -> [UInt8]? {
        let key = try key(CK_OBJECT_CLASS(CKO_SECRET_KEY), id)
        var (nonce, context, input) = (nonce, context, text)
        var output = [UInt8](repeating: 0, count: text.count + 16)
        var count = CK_ULONG(output.count)
        let state = nonce.withUnsafeMutableBufferPointer { nonce in
            context.withUnsafeMutableBufferPointer { context in
                var parameters = CK_GCM_PARAMS(
                    pIv: nonce.baseAddress, ulIvLen: CK_ULONG(nonce.count), ulIvBits: CK_ULONG(nonce.count * 8),
                    pAAD: context.baseAddress, ulAADLen: CK_ULONG(context.count), ulTagBits: 128)
                return withUnsafeMutablePointer(to: &parameters) { parameters in
                    var mechanism = CK_MECHANISM(
                        mechanism: CK_MECHANISM_TYPE(CKM_AES_GCM), pParameter: parameters,
                        ulParameterLen: CK_ULONG(MemoryLayout<CK_GCM_PARAMS>.size))
                    let begun =
                        isSealing
                        ? functions.C_EncryptInit(handle, &mechanism, key)
                        : functions.C_DecryptInit(handle, &mechanism, key)
                    guard begun == CKR_OK else { return begun }
                    return isSealing
                        ? functions.C_Encrypt(handle, &input, CK_ULONG(input.count), &output, &count)
                        : functions.C_Decrypt(handle, &input, CK_ULONG(input.count), &output, &count)
                }
            }
        }
        // What a token says of a tag that is wrong differs: SoftHSM has CKR_GENERAL_ERROR, as of much else. It is asked
        // to seal something before it is taken for well.
        let wrongTag = [
            CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_SIGNATURE_INVALID, CKR_GENERAL_ERROR,
            CKR_FUNCTION_FAILED, CKR_DATA_INVALID,
        ]
        if !isSealing, wrongTag.contains(state), try seals(id) { return nil }
        try require(state, isSealing ? "seal" : "unseal")
        return Array(output.prefix(Int(count)))
    }

    private func seals(_ id: [UInt8]) throws(TokenError) -> Bool {
        try crypt(id, isSealing: true, nonce: RandomBytes.make(12), context: [], [0]) != nil
    }

    /// Whatever a token that is well does not answer ends the session: the next one may find it better.
    func require(_ state: CK_RV, _ what: String) throws(TokenError) {
        if state == CKR_OK { return }
        let text = "the token does not \(what) (\(TokenModule.name(state)))"
        switch state {
        case CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE,
            CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID, CKR_KEY_TYPE_INCONSISTENT,
            CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_DOMAIN_PARAMS_INVALID, CKR_TOKEN_WRITE_PROTECTED, CKR_DEVICE_MEMORY:
            throw .refused(text)
        default: throw .fault(.unreachable, text)
        }
    }
}
