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
                return UnsafePointer(selections[operation])
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

    /// By operation. Whatever is here is looked at whenever OpenSSL walks through all that a library context has: so
    /// nothing that only TLS's older suites need, no text forms and no stores. MD5 and SHA-1 are not for use in TLS,
    /// but OpenSSL makes no context without them, and names certificates by SHA-1.
    private static let names: [Int32: Set<String>] = [
        OSSL_OP_DIGEST: [
            "MD5", "SHA1", "MD5-SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512", "SHA3-256", "SHA3-384",
            "SHA3-512",
        ],
        OSSL_OP_CIPHER: ["AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"],
        OSSL_OP_MAC: ["HMAC"],
        OSSL_OP_KDF: ["HKDF", "TLS13-KDF", "TLS1-PRF"],
        OSSL_OP_RAND: ["CTR-DRBG", "SEED-SRC"],
        // With HMAC, by which TLS 1.3 proves that a client may use its ticket.
        OSSL_OP_KEYMGMT: keys.union(["HMAC"]),
        OSSL_OP_KEYEXCH: ["ECDH", "X25519"],
        OSSL_OP_SIGNATURE: ["RSA", "ECDSA", "ED25519", "HMAC"],
        OSSL_OP_DECODER: keys,
    ]

    nonisolated(unsafe) private static let selections: [Int32: UnsafeMutablePointer<OSSL_ALGORITHM>] =
        Dictionary(
            uniqueKeysWithValues: names.map { operation, names in
                (operation, selection(operation) { names.contains($0.name) && isOfUse($0, in: operation) })
            })

    /// Of the decoders, those of a certificate's SubjectPublicKeyInfo.
    private static func isOfUse(_ algorithm: OSSL_ALGORITHM, in operation: Int32) -> Bool {
        operation != OSSL_OP_DECODER
            || algorithm.properties.contains("input=der")
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
