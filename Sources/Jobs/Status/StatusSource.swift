import Reports

/// Who this node is. The cluster, and even the name, may be known only after the node has joined.
package struct NodeIdentification: Sendable, Equatable {
    package let node: String
    package let cluster: String?
    package let version: String
    package let started: Timestamp

    package init(node: String, cluster: String?, version: String, started: Timestamp) {
        self.node = node
        self.cluster = cluster
        self.version = version
        self.started = started
    }
}

/// What one lane or serial queue has done since the process began, and how late it answers now.
package struct LaneSample: Sendable, Equatable {
    package let label: String
    package let jobCount: UInt64
    package let busySeconds: Double
    /// The age of a heartbeat that is not answered yet; 0 when all are.
    package let lagSeconds: Double
    /// Whether it may be late without being stuck: it waits for a disk or a producer.
    package let isPatient: Bool

    package init(label: String, jobCount: UInt64, busySeconds: Double, lagSeconds: Double, isPatient: Bool = false) {
        self.label = label
        self.isPatient = isPatient
        self.jobCount = jobCount
        self.busySeconds = busySeconds
        self.lagSeconds = lagSeconds
    }

    /// With a number behind each label that was there before: a metric's series and a lane's load need one name each.
    static func distinct(_ samples: [LaneSample]) -> [LaneSample] {
        var counts: [String: Int] = [:]
        return samples.map { sample in
            let count = (counts[sample.label] ?? 0) + 1
            counts[sample.label] = count
            if count == 1 { return sample }
            return LaneSample(
                label: "\(sample.label)-\(count)", jobCount: sample.jobCount, busySeconds: sample.busySeconds,
                lagSeconds: sample.lagSeconds, isPatient: sample.isPatient)
        }
    }
}

/// What a control call came to. A refusal is a value with its reason.
package enum ControlOutcome: Sendable, Equatable {
    case done(JSONValue)
    /// Begun; the status document shows how it goes on.
    case accepted(String)
    /// There is no such role, connection, ….
    case unknown(String)
    case refused(String)
    case failed(String)
}

/// What the status job shows and what it can set going: values and closures, given by whoever joined the jobs.
package struct StatusSource: Sendable {
    package let identification: @Sendable () -> NodeIdentification
    package let health: HealthBoard
    package let metrics: Metrics
    package let lanes: @Sendable () -> [LaneSample]
    package let control: ControlActions

    package init(
        identification: @escaping @Sendable () -> NodeIdentification, health: HealthBoard, metrics: Metrics,
        lanes: @escaping @Sendable () -> [LaneSample], control: ControlActions
    ) {
        self.identification = identification
        self.health = health
        self.metrics = metrics
        self.lanes = lanes
        self.control = control
    }
}

/// What only the control socket offers.
package struct ControlActions: Sendable {
    /// A page of the live connections, with their peers' identities: at most `limit`, those after a number.
    package let connections: @Sendable (_ after: UInt64, _ limit: Int) async -> JSONValue
    /// The newest events that are still spooled, oldest first; at most `count`.
    package let events: @Sendable (_ count: Int) async -> JSONValue
    package let renew: @Sendable (_ role: String) async -> ControlOutcome
    package let kill: @Sendable (_ connection: String) async -> ControlOutcome
    package let drain: @Sendable () async -> ControlOutcome
    package let undrain: @Sendable () async -> ControlOutcome
    /// `waits`: until the live sessions have been judged under what is new.
    package let reload: @Sendable (_ waits: Bool) async -> ControlOutcome
    package let bans: BanActions

    package init(
        connections: @escaping @Sendable (_ after: UInt64, _ limit: Int) async -> JSONValue,
        events: @escaping @Sendable (_ count: Int) async -> JSONValue,
        renew: @escaping @Sendable (_ role: String) async -> ControlOutcome,
        kill: @escaping @Sendable (_ connection: String) async -> ControlOutcome,
        drain: @escaping @Sendable () async -> ControlOutcome,
        undrain: @escaping @Sendable () async -> ControlOutcome,
        reload: @escaping @Sendable (_ waits: Bool) async -> ControlOutcome, bans: BanActions = .none
    ) {
        self.connections = connections
        self.events = events
        self.renew = renew
        self.kill = kill
        self.drain = drain
        self.undrain = undrain
        self.reload = reload
        self.bans = bans
    }
}

/// What the control socket offers about addresses that are refused for a while.
package struct BanActions: Sendable {
    package let list: @Sendable () async -> JSONValue
    /// Of an address or a network; nil: all.
    package let lift: @Sendable (_ network: String?) async -> ControlOutcome

    package init(
        list: @escaping @Sendable () async -> JSONValue,
        lift: @escaping @Sendable (_ network: String?) async -> ControlOutcome
    ) {
        self.list = list
        self.lift = lift
    }

    /// Of a node that refuses nobody, because it opens no port.
    package static let none = BanActions(list: { ["bans": []] }, lift: { _ in .unknown("there is no ban") })
}
