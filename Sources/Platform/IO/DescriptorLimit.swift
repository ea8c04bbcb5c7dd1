import Glibc

/// How many files the process may have open.
package enum DescriptorLimit {
    /// The soft limit, which is the one that counts; nil if the kernel does not say, or there is none.
    package static var current: Int? {
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0, limit.rlim_cur < Int.max else { return nil }
        return Int(limit.rlim_cur)
    }

    /// Lifts the soft limit to the hard one, as systemd.exec(5) advises every program that does not use select(2).
    package static func raise() {
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(kind, &limit)
    }

    private static let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
}
