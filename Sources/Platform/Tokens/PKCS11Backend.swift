import CPKCS11
import OpenSSL

/// One session with a PKCS #11 token, in which its user is logged in.
final class PKCS11Backend: TokenBackend {
    private let module: PKCS11Module
    let session: CK_SESSION_HANDLE
    /// By name; a handle is good for as long as the session.
    private var known: [[UInt8]: CK_OBJECT_HANDLE] = [:]

    var functions: CK_FUNCTION_LIST { module.functions }

    init(_ uri: TokenURI, _ record: PINRecord) throws(TokenError) {
        module = try PKCS11Module(uri)
        var session: CK_SESSION_HANDLE = 0
        let state = module.functions.C_OpenSession(
            module.slot, CK_FLAGS(CKF_SERIAL_SESSION | CKF_RW_SESSION), nil, nil, &session)
        guard state == CKR_OK else {
            throw .fault(.unreachable, "the token opens no session: \(PKCS11Error.text(state))")
        }
        self.session = session
        if module.flags & CKF_LOGIN_REQUIRED != 0 { try logIn(uri, record) }
    }

    /// One try, and none that could be the last: a token that counts to its limit is lost.
    private func logIn(_ uri: TokenURI, _ record: PINRecord) throws(TokenError) {
        guard let source = uri.pin else {
            throw .fault(.pinRefused, "the token wants a PIN, and the URI has no pin-source")
        }
        let pin: SecretReference
        do throws(OpenSSLError) {
            pin = try TokenPIN.read(source)
        } catch {
            throw .fault(.unreachable, error.description)
        }
        if module.flags & CKF_USER_PIN_LOCKED != 0 {
            try record.bar(pin)
            throw .fault(.pinLocked, "the token has locked its user's PIN (CKF_USER_PIN_LOCKED)")
        }
        if module.flags & CKF_USER_PIN_FINAL_TRY != 0 {
            try record.bar(pin)
            throw .fault(.pinLocked, "one more wrong PIN would lock the token (CKF_USER_PIN_FINAL_TRY): none is tried")
        }
        let state = try record.guarding(pin, isCountLow: module.flags & CKF_USER_PIN_COUNT_LOW != 0) {
            pin.withBytes { bytes in
                bytes.withUnsafeBufferPointer { bytes in
                    // The interface has no const; no module writes there.
                    module.functions.C_Login(
                        session, CK_USER_TYPE(CKU_USER), UnsafeMutablePointer(mutating: bytes.baseAddress),
                        CK_ULONG(bytes.count))
                }
            }
        }
        switch state {
        case CKR_OK, CKR_USER_ALREADY_LOGGED_IN: return
        case CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED, CKR_USER_PIN_NOT_INITIALIZED:
            throw .fault(.pinRefused, "the token does not take the PIN: \(PKCS11Error.text(state))")
        case CKR_PIN_LOCKED: throw .fault(.pinLocked, "the token has locked its user's PIN: CKR_PIN_LOCKED")
        default: throw .fault(.unreachable, "the token does not log its user in: \(PKCS11Error.text(state))")
        }
    }

    // MARK: signing

    func sign(key: [UInt8], _ operation: TokenOperation) throws(TokenError) -> [UInt8] {
        switch operation {
        case .ecdsa(let digest): PKCS11Key.signatureDER(try run(CK_MECHANISM_TYPE(CKM_ECDSA), key, digest))
        case .rsaPKCS1(let info): try run(CK_MECHANISM_TYPE(CKM_RSA_PKCS), key, info)
        case .rsaRaw(let block): try run(CK_MECHANISM_TYPE(CKM_RSA_X_509), key, block)
        }
    }

    private func run(
        _ mechanism: CK_MECHANISM_TYPE, _ key: [UInt8], _ input: [UInt8]
    ) throws(TokenError) -> [UInt8] {
        let handle: CK_OBJECT_HANDLE
        if let one = known[key] {
            handle = one
        } else if let found = try find(CK_OBJECT_CLASS(CKO_PRIVATE_KEY), key).first {
            handle = found
            known[key] = found
        } else {
            throw .fault(.unreachable, "the token has no key \(Hex.text(key))")
        }
        var words = CK_MECHANISM(mechanism: mechanism, pParameter: nil, ulParameterLen: 0)
        try check(functions.C_SignInit(session, &words, handle), "sign")
        var data = input
        var signature = [UInt8](repeating: 0, count: 1024)
        var count = CK_ULONG(signature.count)
        try check(functions.C_Sign(session, &data, CK_ULONG(data.count), &signature, &count), "sign")
        return Array(signature.prefix(Int(count)))
    }

    func find(_ kind: CK_OBJECT_CLASS, _ name: [UInt8]) throws(TokenError) -> [CK_OBJECT_HANDLE] {
        var template = PKCS11Template()
        template.add(CK_ATTRIBUTE_TYPE(CKA_CLASS), kind)
        template.add(CK_ATTRIBUTE_TYPE(CKA_ID), name)
        try check(template.withAttributes { functions.C_FindObjectsInit(session, $0, $1) }, "find a key")
        var handles = [CK_OBJECT_HANDLE](repeating: 0, count: 4)
        var count: CK_ULONG = 0
        let state = functions.C_FindObjects(session, &handles, CK_ULONG(handles.count), &count)
        try check(functions.C_FindObjectsFinal(session), "find a key")
        try check(state, "find a key")
        return Array(handles.prefix(Int(count)))
    }

    /// Whatever a token that is well does not answer: the next session may find it better.
    func check(_ state: CK_RV, _ operation: String) throws(TokenError) {
        if state == CKR_OK { return }
        let text = "the token does not \(operation): \(PKCS11Error.text(state))"
        switch state {
        case CKR_MECHANISM_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_VALUE_INVALID,
            CKR_ATTRIBUTE_TYPE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED,
            CKR_KEY_SIZE_RANGE, CKR_DOMAIN_PARAMS_INVALID, CKR_TOKEN_WRITE_PROTECTED, CKR_DEVICE_MEMORY:
            throw .refused(text)
        default: throw .fault(.unreachable, text)
        }
    }

    func destroy(key: [UInt8]) throws(TokenError) {
        known[key] = nil
        for kind in [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY] {
            for handle in try find(CK_OBJECT_CLASS(kind), key) {
                try check(functions.C_DestroyObject(session, handle), "destroy a key")
            }
        }
    }
}
