/// What protects the proxy and the database behind it.
package struct ProxyLimits: Sendable, Equatable {
    /// Of each address, or of each prefix.
    package struct PerKey: Sendable, Equatable {
        /// nil: without limit, as the others.
        package var connections: Int?
        package var unauthenticated: Int?
        /// New connections a second.
        package var rate: Int?

        package init(connections: Int? = nil, unauthenticated: Int? = nil, rate: Int? = nil) {
            self.connections = connections
            self.unauthenticated = unauthenticated
            self.rate = rate
        }

        var isOff: Bool { connections == nil && unauthenticated == nil && rate == nil }
    }

    /// An address that misbehaves so often within so long is refused for so long.
    package struct Ban: Sendable, Equatable {
        package var failures: Int
        package var within: Duration
        package var duration: Duration

        package init(failures: Int, within: Duration, duration: Duration) {
            self.failures = failures
            self.within = within
            self.duration = duration
        }
    }

    /// Authenticated.
    package var connections = 10_000
    package var unauthenticated = 512
    package var handshakesPerSecond = 2000
    package var perAddress = PerKey(unauthenticated: 128, rate: 500)
    /// All applications of an installation may stand in one network: by default it may take half of the places of
    /// strangers, and no more is held against it.
    package var perPrefix = PerKey(unauthenticated: 256)
    /// Off by default: behind one address may stand a whole pool.
    package var ban: Ban?
    /// Bytes that stalled readers may pin on all lanes together; beyond it each may pin only a few KiB more.
    package var stalledMemory = 64 << 20

    package init() {}
}
