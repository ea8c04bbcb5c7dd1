extension ProxyLimits {
    /// Left to everything else in the process: lanes, the spool, certificates, local sockets, calls to the plane.
    ///
    /// A process without a free descriptor can neither open its spool nor its certificates, and libdispatch's own
    /// monitor of its threads ends it (it reads `/proc/self/task`, once a second).
    static let reservedDescriptors = 256

    /// Budgets that so many descriptors can carry: a relayed connection needs two, a stranger one, and two while its
    /// CancelRequest is forwarded.
    func fitting(descriptors: Int) -> ProxyLimits {
        let available = max(8, descriptors - Self.reservedDescriptors)
        if 2 * connections + 2 * unauthenticated <= available { return self }
        var fitting = self
        fitting.unauthenticated = min(unauthenticated, max(1, available / 4))
        fitting.connections = min(connections, max(1, (available - 2 * fitting.unauthenticated) / 2))
        return fitting
    }

    /// Whether so much of what was configured is missing that an operator must act.
    func isScarce(beside configured: ProxyLimits) -> Bool {
        4 * connections < 3 * configured.connections || 4 * unauthenticated < 3 * configured.unauthenticated
    }
}
