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

    /// Of one listener, within those of the proxy.
    package struct PerListener: Sendable, Equatable {
        /// nil: without limit of its own, as the other.
        package var connections: Int?
        package var unauthenticated: Int?

        package init(connections: Int? = nil, unauthenticated: Int? = nil) {
            self.connections = connections
            self.unauthenticated = unauthenticated
        }
    }

    /// Places beside all others, for administrators.
    package struct Reserved: Sendable, Equatable {
        /// Whoever comes from there takes such a place before it is proven, is held to no rate, and never banned.
        package var networks: [PeerNetwork]
        package var unauthenticated: Int
        /// Whoever is one of them takes such a place where a limit would refuse it.
        package var identities: [AccessRule]
        package var connections: Int

        package init(
            networks: [PeerNetwork] = [], unauthenticated: Int = 0, identities: [AccessRule] = [], connections: Int = 0
        ) {
            self.networks = networks
            self.unauthenticated = unauthenticated
            self.identities = identities
            self.connections = connections
        }
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
    /// Of each identity; judged when it is proven, before the database is dialled.
    package var perIdentity = PerKey()
    package var reserved = Reserved()
    /// Off by default: behind one address may stand a whole pool.
    package var ban: Ban?
    /// Bytes that may be resident; nil: only the limit of the control group counts.
    package var memory: Int?
    /// Bytes that stalled readers may pin on all lanes together; beyond it each may pin only a few KiB more.
    package var stalledMemory = 64 << 20

    package init() {}
}
