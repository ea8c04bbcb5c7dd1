/// Which limit somebody met, whose it is, and how high.
enum Excess: Error, Equatable {
    enum Holder: Equatable {
        case proxy
        case listener(String)
        case address(PeerNetwork)
        case prefix(PeerNetwork)
        case identity(String)
    }

    enum Measure: Equatable {
        case connections, unauthenticated, rate
    }

    case budget(Holder, Measure, limit: Int)
    case ban(PeerNetwork, left: Duration)
    case pressure(Pressure)

    var reason: RefusalReason {
        switch self {
        case .budget(_, .unauthenticated, _): .evicted
        case .budget(.proxy, .connections, _): .connectionLimit
        case .budget(.proxy, .rate, _): .handshakeRate
        case .budget(.listener, _, _): .listenerConnectionLimit
        case .budget(.address, .connections, _): .addressConnectionLimit
        case .budget(.address, .rate, _): .addressRate
        case .budget(.prefix, .connections, _): .prefixConnectionLimit
        case .budget(.prefix, .rate, _): .prefixRate
        case .budget(.identity, .connections, _): .identityConnectionLimit
        case .budget(.identity, .rate, _): .identityRate
        case .ban: .banned
        case .pressure(.memory): .memoryPressure
        case .pressure(.descriptors): .descriptorPressure
        }
    }
}

extension Excess: CustomStringConvertible {
    /// As the configuration names it: `per-prefix rate of 203.0.113.0/24: 500/s`.
    var description: String {
        switch self {
        case .ban(let network, let left): "ban of \(network): \(left.wholeSeconds) s left"
        case .pressure(let pressure): pressure.description
        case .budget(.proxy, .rate, let limit): "handshakes-per-second of the proxy: \(limit)/s"
        case .budget(let holder, let measure, let limit):
            "\(holder.section)\(measure) of \(holder): \(limit)" + (measure == .rate ? "/s" : "")
        }
    }
}

extension Pressure: CustomStringConvertible {
    var description: String {
        switch self {
        case .descriptors(let left): "descriptors of the process: \(left) left"
        case .memory(let reading):
            "memory of the \(reading.whose == .process ? "process" : "unit"): \(reading.used >> 20) MiB of "
                + "\(reading.limit >> 20) MiB"
        }
    }
}

extension Duration {
    /// Rounded up, so that 0 is over.
    var wholeSeconds: Int64 { components.seconds + (components.attoseconds > 0 ? 1 : 0) }
}

extension Excess.Holder: CustomStringConvertible {
    fileprivate var section: String {
        switch self {
        case .proxy, .listener: ""
        case .address: "per-address "
        case .prefix: "per-prefix "
        case .identity: "per-identity "
        }
    }

    var description: String {
        switch self {
        case .proxy: "the proxy"
        case .listener(let name): "listener \(name)"
        case .address(let network), .prefix(let network): "\(network)"
        case .identity(let name): name
        }
    }
}
