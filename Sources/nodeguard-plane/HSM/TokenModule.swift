import CPKCS11
import Glibc

/// A PKCS #11 module, loaded and initialized, and the one token of it that an address names. In the process of the
/// token alone: it is somebody else's code.
struct TokenModule {
    let functions: CK_FUNCTION_LIST
    let slot: CK_SLOT_ID
    let flags: CK_FLAGS

    init(_ address: TokenAddress) throws(TokenError) {
        functions = try Self.functions(of: address.module)
        let state = functions.C_Initialize(nil)
        guard state == CKR_OK else {
            throw .fault(.unreachable, "\(address.module) does not start (\(Self.name(state)))")
        }
        let fitting = try Self.tokens(functions).filter { Self.fits(address, $0.slot, $0.information) }
        guard fitting.count == 1, let one = fitting.first else {
            throw .fault(.unreachable, "\(fitting.count) tokens of \(address.module) fit \(address.name)")
        }
        (slot, flags) = (one.slot, one.information.flags)
    }

    private static func functions(of path: String) throws(TokenError) -> CK_FUNCTION_LIST {
        typealias Entry = @convention(c) (UnsafeMutablePointer<UnsafeMutablePointer<CK_FUNCTION_LIST>?>?) -> CK_RV
        guard let library = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw .fault(.unreachable, "no module: \(dlerror().map { String(cString: $0) } ?? path)")
        }
        guard let entry = dlsym(library, "C_GetFunctionList") else {
            throw .fault(.unreachable, "\(path) is no PKCS #11 module, it has no C_GetFunctionList")
        }
        var list: UnsafeMutablePointer<CK_FUNCTION_LIST>?
        guard unsafeBitCast(entry, to: Entry.self)(&list) == CKR_OK, let list else {
            throw .fault(.unreachable, "\(path) does not say what it can do")
        }
        return list.pointee
    }

    private static func tokens(
        _ functions: CK_FUNCTION_LIST
    ) throws(TokenError) -> [(slot: CK_SLOT_ID, information: CK_TOKEN_INFO)] {
        var slots = [CK_SLOT_ID](repeating: 0, count: 256)
        var count = CK_ULONG(slots.count)
        let state = functions.C_GetSlotList(1, &slots, &count)
        guard state == CKR_OK else { throw .fault(.unreachable, "the module lists no tokens (\(name(state)))") }
        return slots.prefix(Int(count)).compactMap { slot in
            var information = CK_TOKEN_INFO()
            return functions.C_GetTokenInfo(slot, &information) == CKR_OK ? (slot, information) : nil
        }
    }

    private static func fits(_ address: TokenAddress, _ slot: CK_SLOT_ID, _ information: CK_TOKEN_INFO) -> Bool {
        if let wanted = address.slot, wanted != slot { return false }
        return address.wanted.allSatisfy { field, wanted in
            switch field {
            case .token: text(information.label) == wanted
            case .serial: text(information.serialNumber) == wanted
            case .manufacturer: text(information.manufacturerID) == wanted
            case .model: text(information.model) == wanted
            }
        }
    }

    /// Without the blanks that fill it up.
    private static func text(_ field: some Any) -> String {
        withUnsafeBytes(of: field) { bytes in
            let end = bytes.lastIndex { $0 != 0x20 && $0 != 0 }
            return String(decoding: bytes.prefix(end.map { $0 + 1 } ?? 0), as: UTF8.self)
        }
    }

    /// The answers that an operator meets; others as numbers, which each vendor's book has.
    static func name(_ state: CK_RV) -> String {
        switch state {
        case CKR_GENERAL_ERROR: "CKR_GENERAL_ERROR"
        case CKR_FUNCTION_FAILED: "CKR_FUNCTION_FAILED"
        case CKR_DEVICE_ERROR: "CKR_DEVICE_ERROR"
        case CKR_DEVICE_MEMORY: "CKR_DEVICE_MEMORY"
        case CKR_DEVICE_REMOVED: "CKR_DEVICE_REMOVED"
        case CKR_TOKEN_NOT_PRESENT: "CKR_TOKEN_NOT_PRESENT"
        case CKR_TOKEN_WRITE_PROTECTED: "CKR_TOKEN_WRITE_PROTECTED"
        case CKR_SESSION_HANDLE_INVALID: "CKR_SESSION_HANDLE_INVALID"
        case CKR_KEY_HANDLE_INVALID: "CKR_KEY_HANDLE_INVALID"
        case CKR_OBJECT_HANDLE_INVALID: "CKR_OBJECT_HANDLE_INVALID"
        case CKR_MECHANISM_INVALID: "CKR_MECHANISM_INVALID"
        case CKR_TEMPLATE_INCONSISTENT: "CKR_TEMPLATE_INCONSISTENT"
        case CKR_PIN_INCORRECT: "CKR_PIN_INCORRECT"
        case CKR_PIN_LEN_RANGE: "CKR_PIN_LEN_RANGE"
        case CKR_PIN_EXPIRED: "CKR_PIN_EXPIRED"
        case CKR_PIN_LOCKED: "CKR_PIN_LOCKED"
        case CKR_USER_PIN_NOT_INITIALIZED: "CKR_USER_PIN_NOT_INITIALIZED"
        default: "answer 0x" + String(state, radix: 16)
        }
    }
}
