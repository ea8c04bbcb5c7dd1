import Glibc

/// How many files and connections the plane may have open.
enum DescriptorLimit {
    /// Where the kernel does not say.
    private static let usual = 1024

    /// Lifts the soft limit to the hard one, as systemd.exec(5) advises every program that does not use select(2).
    /// Returns the soft limit of now.
    static func raise() -> Int {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(kind, &limit) == 0 else { return usual }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        return Int(clamping: setrlimit(kind, &limit) == 0 ? limit.rlim_cur : before)
    }
}
