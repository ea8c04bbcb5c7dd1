import COpenSSL
import Glibc

/// The process's one OpenSSL: started by the first use of any type of this module.
package enum OpenSSLLibrary {
    /// Whatever else in the process uses OpenSSL (libcurl) must call this before it starts: the first call decides
    /// that the system's `openssl.cnf` is not read (OPENSSL_init_crypto(3)).
    package static func prepare() { _ = started }

    /// "OpenSSL 3.0.19 27 Jan 2026".
    package static var version: String {
        prepare()
        return String(cString: OpenSSL_version(OPENSSL_VERSION))
    }

    private static let started: Bool = {
        // Without an exit handler: other threads may still be inside OpenSSL when the process ends.
        let options = UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT)
        precondition(OPENSSL_init_ssl(options, nil) == 1, "OpenSSL does not start")
        CRYPTO_secure_malloc_init(secureHeapSize, 32)
        return true
    }()

    /// In bytes; only what is used is resident. Half at most is for our secrets, the rest for OpenSSL's own: private
    /// keys, ephemeral ones of handshakes under way too, and each thread's random generator, which fail without.
    static let secureHeapSize = 1 << 20
}

/// What the process itself does against a leak of secrets, beside the service unit's rules.
package enum ProcessHardening {
    /// No core dumps, no `ptrace` and no `/proc/PID/mem` for others of the same user.
    package static func apply() {
        _ = COpenSSL_forbid_dumps()
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    }
}

/// Bytes from OpenSSL's random generator.
package func secureRandom(_ count: Int) -> [UInt8] {
    OpenSSLLibrary.prepare()
    var bytes = [UInt8](repeating: 0, count: count)
    // RAND_bytes fails only when the system has no entropy at all: nothing may go on then.
    precondition(RAND_bytes(&bytes, Int32(count)) == 1, "no random bytes")
    return bytes
}
