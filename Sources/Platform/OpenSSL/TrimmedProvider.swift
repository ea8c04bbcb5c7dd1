import COpenSSL

/// OpenSSL's default provider under another name, some of its algorithms left out (provider(7)).
///
/// Its functions are called by OpenSSL from any thread, and only read what was made once.
enum TrimmedProvider {
    static let name = "nodeguard"

    /// The default provider in a library context of its own, where its algorithms look for one another.
    nonisolated(unsafe) static let original: OpaquePointer? = OSSL_LIB_CTX_new().flatMap {
        OSSL_PROVIDER_load($0, "default")
    }

    static let begin:
        @convention(c) (
            OpaquePointer?, UnsafePointer<OSSL_DISPATCH>?, UnsafeMutablePointer<UnsafePointer<OSSL_DISPATCH>?>?,
            UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> Int32 = { _, _, functions, place in
            guard let original else { return 0 }
            functions?.pointee = UnsafePointer(dispatch)
            // The algorithms are the original's, and so is what they are given.
            place?.pointee = OSSL_PROVIDER_get0_provider_ctx(original)
            return 1
        }

    private typealias Function = @convention(c) () -> Void

    nonisolated(unsafe) private static let dispatch: UnsafeMutablePointer<OSSL_DISPATCH> = {
        let entries = [
            entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, unsafeBitCast(query, to: Function.self)),
            entry(OSSL_FUNC_PROVIDER_GET_CAPABILITIES, unsafeBitCast(capabilities, to: Function.self)),
            entry(OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, unsafeBitCast(describedParameters, to: Function.self)),
            entry(OSSL_FUNC_PROVIDER_GET_PARAMS, unsafeBitCast(parameters, to: Function.self)),
            OSSL_DISPATCH(function_id: 0, function: nil),
        ]
        return permanent(entries)
    }()

    private static func entry(_ number: Int32, _ function: @escaping Function) -> OSSL_DISPATCH {
        OSSL_DISPATCH(function_id: number, function: function)
    }

    private static let query:
        @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafeMutablePointer<Int32>?)
            -> UnsafePointer<OSSL_ALGORITHM>? = { _, operation, isVolatile in
                isVolatile?.pointee = 0
                return switch operation {
                case OSSL_OP_KEYMGMT: UnsafePointer(keyManagers)
                case OSSL_OP_DECODER: UnsafePointer(decoders)
                // Nothing of a handshake is written in a text form, or read from a store.
                case OSSL_OP_ENCODER, OSSL_OP_STORE: nil
                default: algorithms(operation)
                }
            }

    private static let capabilities:
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafePointer<CChar>?,
            (
                @convention(c) (
                    UnsafePointer<OSSL_PARAM>?, UnsafeMutableRawPointer?
                ) -> Int32
            )?, UnsafeMutableRawPointer?
        ) -> Int32 = { _, capability, receive, argument in
            OSSL_PROVIDER_get_capabilities(original, capability, receive, argument)
        }

    private static let describedParameters: @convention(c) (UnsafeMutableRawPointer?) -> UnsafePointer<OSSL_PARAM>? = {
        _ in OSSL_PROVIDER_gettable_params(original)
    }

    private static let parameters:
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafeMutablePointer<OSSL_PARAM>?
        ) -> Int32 = { _, values in OSSL_PROVIDER_get_params(original, values) }

    // MARK: what is left

    /// Keys of certificates, and those that a handshake makes for itself.
    private static let keys: Set<String> = ["EC", "RSA", "RSA-PSS", "ED25519", "X25519"]

    nonisolated(unsafe) private static let keyManagers = selection(OSSL_OP_KEYMGMT) { keys.contains($0.name) }

    /// A certificate's SubjectPublicKeyInfo.
    nonisolated(unsafe) private static let decoders = selection(OSSL_OP_DECODER) { algorithm in
        keys.contains(algorithm.name) && algorithm.properties.contains("input=der")
            && algorithm.properties.contains("structure=SubjectPublicKeyInfo")
    }

    private static func algorithms(_ operation: Int32) -> UnsafePointer<OSSL_ALGORITHM>? {
        var isVolatile: Int32 = 0
        return original.flatMap { OSSL_PROVIDER_query_operation($0, operation, &isVolatile) }
    }

    private static func selection(
        _ operation: Int32, _ isWanted: (OSSL_ALGORITHM) -> Bool
    ) -> UnsafeMutablePointer<OSSL_ALGORITHM> {
        var wanted: [OSSL_ALGORITHM] = []
        var next = algorithms(operation)
        while let algorithm = next, algorithm.pointee.algorithm_names != nil {
            if isWanted(algorithm.pointee) { wanted.append(algorithm.pointee) }
            next = algorithm + 1
        }
        return permanent(wanted + [OSSL_ALGORITHM()])
    }

    private static func permanent<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
        let place = UnsafeMutablePointer<Element>.allocate(capacity: elements.count)
        place.initialize(from: elements, count: elements.count)
        return place
    }
}

extension OSSL_ALGORITHM {
    /// The first of its names; the others are aliases and object identifiers.
    fileprivate var name: String {
        let all = algorithm_names.map { String(cString: $0) } ?? ""
        return String(all.prefix { $0 != ":" })
    }

    fileprivate var properties: String { property_definition.map { String(cString: $0) } ?? "" }
}
