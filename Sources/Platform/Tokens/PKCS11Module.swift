import CPKCS11
import Glibc

/// A PKCS #11 module that is loaded and initialized, and the one of its tokens that a URI names.
///
/// The module is somebody else's code: it runs in a process of its own, in which there is nothing but its token.
struct PKCS11Module {
    let functions: CK_FUNCTION_LIST
    let slot: CK_SLOT_ID
    let flags: CK_FLAGS

    init(_ uri: TokenURI) throws(TokenError) {
        functions = try Self.load(uri.module)
        let state = functions.C_Initialize(nil)
        guard state == CKR_OK || state == CKR_CRYPTOKI_ALREADY_INITIALIZED else {
            throw .fault(.unreachable, "\(uri.module) does not start: \(PKCS11Error.text(state))")
        }
        (slot, flags) = try Self.find(uri, functions)
    }

    private static func load(_ path: String) throws(TokenError) -> CK_FUNCTION_LIST {
        typealias Entry = @convention(c) (UnsafeMutablePointer<UnsafeMutablePointer<CK_FUNCTION_LIST>?>?) -> CK_RV
        guard let library = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw .fault(.unreachable, "load the module: \(dlerror().map { String(cString: $0) } ?? path)")
        }
        guard let symbol = dlsym(library, "C_GetFunctionList") else {
            throw .fault(.unreachable, "\(path) is no PKCS #11 module: it has no C_GetFunctionList")
        }
        var list: UnsafeMutablePointer<CK_FUNCTION_LIST>?
        let state = unsafeBitCast(symbol, to: Entry.self)(&list)
        guard state == CKR_OK, let list else {
            throw .fault(.unreachable, "\(path) names no functions: \(PKCS11Error.text(state))")
        }
        return list.pointee
    }

    /// Exactly one token must fit.
    private static func find(
        _ uri: TokenURI, _ functions: CK_FUNCTION_LIST
    ) throws(TokenError) -> (CK_SLOT_ID, CK_FLAGS) {
        var count: CK_ULONG = 0
        var state = functions.C_GetSlotList(1, nil, &count)
        var slots = [CK_SLOT_ID](repeating: 0, count: Int(count))
        if state == CKR_OK { state = functions.C_GetSlotList(1, &slots, &count) }
        guard state == CKR_OK else {
            throw .fault(.unreachable, "the module does not list its tokens: \(PKCS11Error.text(state))")
        }
        var found: [(CK_SLOT_ID, CK_FLAGS)] = []
        for slot in slots.prefix(Int(count)) {
            var info = CK_TOKEN_INFO()
            guard functions.C_GetTokenInfo(slot, &info) == CKR_OK, fits(uri, slot, info) else { continue }
            found.append((slot, info.flags))
        }
        guard let one = found.first else {
            throw .fault(.unreachable, "\(uri.module) has no token that fits \(uri.name), of \(count)")
        }
        guard found.count == 1 else {
            throw .fault(
                .unreachable, "\(found.count) tokens fit \(uri.name): name one, by its serial= for example")
        }
        return one
    }

    private static func fits(_ uri: TokenURI, _ slot: CK_SLOT_ID, _ info: CK_TOKEN_INFO) -> Bool {
        if let wanted = uri.slot, wanted != slot { return false }
        let pairs = [
            (uri.token, padded(info.label)), (uri.serial, padded(info.serialNumber)),
            (uri.manufacturer, padded(info.manufacturerID)), (uri.model, padded(info.model)),
        ]
        return pairs.allSatisfy { wanted, found in wanted == nil || wanted == found }
    }

    /// A field of a fixed length, filled with blanks.
    private static func padded(_ field: some Any) -> String {
        withUnsafeBytes(of: field) { bytes in
            var text = bytes[...]
            while text.last == UInt8(ascii: " ") || text.last == 0 { text.removeLast() }
            return String(decoding: text, as: UTF8.self)
        }
    }
}

/// The module's answers in words.
enum PKCS11Error {
    private static let names: [CK_RV: String] = [
        CKR_HOST_MEMORY: "CKR_HOST_MEMORY", CKR_SLOT_ID_INVALID: "CKR_SLOT_ID_INVALID",
        CKR_GENERAL_ERROR: "CKR_GENERAL_ERROR", CKR_FUNCTION_FAILED: "CKR_FUNCTION_FAILED",
        CKR_ARGUMENTS_BAD: "CKR_ARGUMENTS_BAD", CKR_ATTRIBUTE_TYPE_INVALID: "CKR_ATTRIBUTE_TYPE_INVALID",
        CKR_ATTRIBUTE_VALUE_INVALID: "CKR_ATTRIBUTE_VALUE_INVALID", CKR_DEVICE_ERROR: "CKR_DEVICE_ERROR",
        CKR_DEVICE_MEMORY: "CKR_DEVICE_MEMORY", CKR_DEVICE_REMOVED: "CKR_DEVICE_REMOVED",
        CKR_KEY_HANDLE_INVALID: "CKR_KEY_HANDLE_INVALID", CKR_MECHANISM_INVALID: "CKR_MECHANISM_INVALID",
        CKR_OBJECT_HANDLE_INVALID: "CKR_OBJECT_HANDLE_INVALID", CKR_PIN_INCORRECT: "CKR_PIN_INCORRECT",
        CKR_PIN_INVALID: "CKR_PIN_INVALID", CKR_PIN_LEN_RANGE: "CKR_PIN_LEN_RANGE",
        CKR_PIN_EXPIRED: "CKR_PIN_EXPIRED", CKR_PIN_LOCKED: "CKR_PIN_LOCKED",
        CKR_SESSION_HANDLE_INVALID: "CKR_SESSION_HANDLE_INVALID",
        CKR_TEMPLATE_INCONSISTENT: "CKR_TEMPLATE_INCONSISTENT",
        CKR_TOKEN_NOT_PRESENT: "CKR_TOKEN_NOT_PRESENT", CKR_TOKEN_WRITE_PROTECTED: "CKR_TOKEN_WRITE_PROTECTED",
        CKR_USER_NOT_LOGGED_IN: "CKR_USER_NOT_LOGGED_IN", CKR_USER_PIN_NOT_INITIALIZED: "CKR_USER_PIN_NOT_INITIALIZED",
    ]

    static func text(_ state: CK_RV) -> String { names[state] ?? "CKR 0x" + String(state, radix: 16) }
}
