import IO

/// How many files this process may have open, as the kernel says.
///
/// The proxy never takes more than its share: a process without a free descriptor can neither open its spool nor its
/// certificates, and libdispatch's own monitor of its threads ends it (it reads `/proc/self/task`, once a second).
enum DescriptorLimit {
    /// For everything else in the process: lanes, the spool, certificates, local sockets, calls to the plane.
    static let reserve = 256

    static var ofProcess: Int? { (try? Files.read("/proc/self/limits", limit: 64 << 10)).flatMap(softLimit) }

    /// Of the line `Max open files  1024  1048576  files`.
    static func softLimit(_ limits: [UInt8]) -> Int? {
        let lines = String(decoding: limits, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("Max open files") }) else { return nil }
        return line.dropFirst("Max open files".count).split(separator: " ").first.flatMap { Int($0) }
    }
}

extension ProxyLimits {
    /// Budgets that so many descriptors can carry: a relayed connection needs two, a stranger one, and two while its
    /// CancelRequest is forwarded.
    func fitting(descriptors: Int) -> ProxyLimits {
        let available = max(8, descriptors - DescriptorLimit.reserve)
        if 2 * connections + 2 * unauthenticated <= available { return self }
        var fitting = self
        fitting.unauthenticated = min(unauthenticated, max(1, available / 4))
        fitting.connections = min(connections, max(1, (available - 2 * fitting.unauthenticated) / 2))
        return fitting
    }
}
