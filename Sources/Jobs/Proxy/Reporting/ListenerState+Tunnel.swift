import Reports

extension ListenerState {
    var subject: String { configuration.subject }

    /// Its label in metrics, and its key in events.
    var label: (String, String) { (configuration.tunnel == nil ? "listener" : "tunnel", name) }

    /// What the other end is called.
    var farEnd: String { configuration.tunnel == nil ? "the database" : "the remote end" }

    /// Whether its remote end is known to be there.
    private var reachability: String {
        let states = backendHealth.findings.map(\.state)
        if states.contains(.up) { return "up" }
        if !states.isEmpty, states.allSatisfy({ $0 == .down }) { return "down" }
        guard backendHealth.lastFailure == nil, lookup?.failure == nil else { return "failing" }
        return backendHealth.hasConnected ? "up" : "unknown"
    }

    /// What a tunnel's part of the status document has of its own.
    func document(_ tunnel: TunnelSettings) -> [String: JSONValue] {
        var failure = JSONValue.null
        if let last = backendHealth.lastFailure {
            failure = ["reason": .string(last.reason), "seconds": .count(last.age.components.seconds)]
        } else if let reason = lookup?.failure {
            failure = ["reason": .string(reason), "seconds": 0]
        }
        return [
            "remote": .string(tunnel.remote), "verify_name": .string(tunnel.name), "health": .string(reachability),
            "last_failure": failure, "remotes": .array(backendHealth.findings.map(\.document)),
        ]
    }
}
