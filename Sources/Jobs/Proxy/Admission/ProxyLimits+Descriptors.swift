extension ProxyLimits {
    /// Left to everything else in the process: lanes, the spool, certificates, local sockets, calls to the plane.
    ///
    /// A process without a free descriptor can neither open its spool nor its certificates, and libdispatch's own
    /// monitor of its threads ends it (it reads `/proc/self/task`, once a second).
    static let reservedDescriptors = 256

    /// Budgets that so many descriptors can carry: a relayed connection needs two, a stranger one, and two while its
    /// CancelRequest is forwarded.
    func fitting(descriptors: Int) -> ProxyLimits {
        var available = max(8, descriptors - Self.reservedDescriptors)
        var fitting = self
        // What is for administrators goes last, and never takes more than half.
        fitting.reserved.unauthenticated = min(reserved.unauthenticated, available / 8)
        fitting.reserved.connections = min(reserved.connections, available / 8)
        available -= 2 * fitting.reserved.connections + 2 * fitting.reserved.unauthenticated
        if 2 * connections + 2 * unauthenticated <= available { return fitting }
        fitting.unauthenticated = min(unauthenticated, max(1, available / 4))
        fitting.connections = min(connections, max(1, (available - 2 * fitting.unauthenticated) / 2))
        return fitting
    }

    /// Whether so much of what was configured is missing that an operator must act.
    func isScarce(beside configured: ProxyLimits) -> Bool {
        4 * connections < 3 * configured.connections || 4 * unauthenticated < 3 * configured.unauthenticated
    }
}
