/// The change of the root, in phases (RFC 4210 §4.4): every node trusts the new one, then certificates come from it,
/// then the old one is dropped. Performs nothing, and knows time only as an argument; seconds since 1970.
///
///     (none) ── start ──▶ trusting ── issue ──▶ issuing ── finish ──▶ dropped ── start ──▶ trusting …
///                            │  ▲                  │  ▲                  │
///     withdrawn ◀─ rollback ─┘  └──── rollback ────┘  └──── rollback ────┘
///
/// No step is taken while a node lags behind the one before; what a node has is what it reported itself.
struct RotationStateMachine: Sendable, Equatable {
    enum Phase: String, Sendable, CaseIterable {
        /// Nodes are given the new root beside the old one, which still issues.
        case trusting
        /// New certificates come from the new root, for whom `Pace` says.
        case issuing
        /// The old root is trusted no more.
        case dropped
        /// The new root is, as it was before the start.
        case withdrawn
    }

    /// Who gets certificates of the new root.
    enum Pace: String, Sendable, CaseIterable {
        /// One node, until it has reported that it serves them and that no client minds.
        case canary
        case everyone
        /// Nobody: clients have refused them.
        case halted
    }

    /// What a node said last of itself.
    struct Report: Sendable, Equatable {
        /// Whether it trusts a root everywhere: for its plane, and at each listener that trusts the other one.
        var hasOld = false
        var hasNew = false
        /// Whether it trusts a root anywhere.
        var keepsOld = false
        var keepsNew = false
        /// Whether one of its certificates is of the old root, or of the new one.
        var usesOld = false
        var usesNew = false
        /// How many clients have refused its certificates as of an unknown authority, since it began to count.
        var alertCount: Int64 = 0
    }

    struct Node: Sendable, Equatable {
        let name: String
        /// nil: never.
        var report: Report?
        /// The alerts that count already when it may first get a certificate of the new root.
        var alertsBefore: Int64 = 0
    }

    /// Why a node keeps the next step waiting.
    enum Lag: String, Sendable, CaseIterable {
        case silent = "has never reported"
        case lacksNew = "does not trust the new root everywhere yet"
        case lacksOld = "does not trust the old root everywhere yet"
        case usesOld = "still uses a certificate of the old root"
        case usesNew = "still uses a certificate of the new root"
        case keepsOld = "still trusts the old root"
        case keepsNew = "still trusts the new root"
    }

    enum Refusal: Error, Sendable, Equatable {
        case noRotation
        case underWay(Phase)
        case alreadyIssuing
        /// `issue` must reach every node before.
        case onlyCanary
        case halted
        case notIssuing(Phase)
        case nothingToUndo
        case unknownCanary(String)
        /// By name of the node.
        case lagging([String: [Lag]])
    }

    /// What a report has changed.
    enum Change: Sendable, Equatable {
        case none
        /// The canary serves the new certificates, and nobody minds.
        case widened
        /// On so many alerts, at this node.
        case halted(node: String, alerts: Int64)
    }

    /// How `issue` goes on.
    struct Terms: Sendable, Equatable {
        /// So many clients of one node that refuse its new certificates end the issuing: one that is set up wrongly
        /// tries a few times, more are clients that do not know the new root.
        var alertLimit: Int64 = 3
        /// So long the canary serves before the others follow.
        var watch: Int64 = 300
        /// Over this time the others, or those that go back, renew.
        var spread: Int64 = 3600
    }

    private(set) var phase: Phase?
    private(set) var pace = Pace.canary
    private(set) var canary: String?
    /// Since when the canary has reported that it serves nothing but certificates of the new root.
    private(set) var canarySince: Int64?
    private(set) var terms = Terms()
    /// When the phase or pace was reached.
    private(set) var changedAt: Int64 = 0

    init() {}

    /// As it was stored.
    init(_ phase: Phase, pace: Pace, canary: String?, canarySince: Int64?, terms: Terms, changedAt: Int64) {
        self.phase = phase
        self.pace = pace
        self.canary = canary
        self.canarySince = canarySince
        self.terms = terms
        self.changedAt = changedAt
    }

    // MARK: what the operator wants

    /// `nodes`: all that have an identity in time.
    mutating func startOrdered(_ nodes: [Node], at now: Int64) throws(Refusal) {
        switch phase {
        case nil: break
        case .trusting, .issuing: throw .underWay(phase ?? .trusting)
        // A node that still trusts what the last rotation dropped would go on to do so.
        case .dropped: try requireNone(of: [.keepsOld, .usesOld], nodes)
        case .withdrawn: try requireNone(of: [.keepsNew, .usesNew], nodes)
        }
        reach(.trusting, at: now)
    }

    /// `canary`: by whom it begins; the same call goes on after a halt. Refused while one node does not trust the new
    /// root: it would refuse the certificates of the others.
    mutating func issueOrdered(
        canary name: String, _ wanted: Terms, _ nodes: [Node], at now: Int64
    ) throws(Refusal) {
        switch (phase, pace) {
        case (.trusting, _), (.issuing, .halted): break
        case (.issuing, _): throw .alreadyIssuing
        case (nil, _), (.dropped, _), (.withdrawn, _): throw .noRotation
        }
        guard nodes.isEmpty || nodes.contains(where: { $0.name == name }) else { throw .unknownCanary(name) }
        try requireNone(of: [.silent, .lacksNew], nodes)
        reach(.issuing, at: now)
        canary = nodes.isEmpty ? nil : name
        pace = nodes.isEmpty ? .everyone : .canary
        terms = wanted
    }

    mutating func finishOrdered(_ nodes: [Node], at now: Int64) throws(Refusal) {
        switch (phase, pace) {
        case (.issuing, .everyone): break
        case (.issuing, .canary): throw .onlyCanary
        case (.issuing, .halted): throw .halted
        case (.trusting, _): throw .notIssuing(.trusting)
        case (nil, _), (.dropped, _), (.withdrawn, _): throw .noRotation
        }
        try requireNone(of: [.silent, .lacksNew, .usesOld], nodes)
        reach(.dropped, at: now)
    }

    /// One phase back.
    mutating func rollbackOrdered(_ nodes: [Node], at now: Int64) throws(Refusal) {
        switch phase {
        case nil, .withdrawn: throw .nothingToUndo
        case .dropped:
            reach(.issuing, at: now)
            // All nodes have certificates of the new root already.
            pace = .everyone
        case .issuing:
            // Certificates of the old root would be refused by those that have dropped it.
            try requireNone(of: [.lacksOld], nodes)
            reach(.trusting, at: now)
        case .trusting:
            try requireNone(of: [.usesNew, .lacksOld], nodes)
            reach(.withdrawn, at: now)
        }
    }

    // MARK: what nodes say

    /// `node`: with what it has just reported.
    mutating func reported(_ node: Node, at now: Int64) -> Change {
        guard phase == .issuing, pace != .halted, let report = node.report else { return .none }
        let alerts = Self.rise(of: node)
        if alerts >= terms.alertLimit {
            pace = .halted
            changedAt = now
            return .halted(node: node.name, alerts: alerts)
        }
        guard pace == .canary, node.name == canary, report.usesNew, !report.usesOld else { return .none }
        // A clock that was set back begins anew.
        let since = canarySince.map { min($0, now) } ?? now
        canarySince = since
        guard now - since >= terms.watch else { return .none }
        pace = .everyone
        changedAt = now
        return .widened
    }

    /// Alerts since the node has a certificate of the new root. A count that went back began anew: with the agent.
    static func rise(of node: Node) -> Int64 {
        guard let report = node.report, report.usesNew else { return 0 }
        return report.alertCount >= node.alertsBefore ? report.alertCount - node.alertsBefore : report.alertCount
    }

    /// What counts of a node's alerts before it has such a certificate, with its newest report.
    static func alertsBefore(_ node: Node) -> Int64 {
        guard let report = node.report, !report.usesNew else { return node.alertsBefore }
        return report.alertCount
    }

    // MARK: what follows

    /// Whether this node, or (nil) whoever is no node, gets certificates of the new root.
    func issuesNew(to node: String?) -> Bool {
        switch phase {
        case nil, .trusting, .withdrawn: false
        case .dropped: true
        case .issuing: pace == .everyone || pace == .canary && node != nil && node == canary
        }
    }

    var trustsOld: Bool { phase != .dropped }
    var trustsNew: Bool { phase == .trusting || phase == .issuing || phase == .dropped }

    /// What keeps each node from the next step forward; nodes that keep nothing waiting are left out.
    func laggards(_ nodes: [Node]) -> [String: [Lag]] {
        switch phase {
        case nil: [:]
        case .trusting: Self.lagging([.silent, .lacksNew], nodes)
        case .issuing: Self.lagging([.silent, .lacksNew, .usesOld], nodes)
        case .dropped: Self.lagging([.keepsOld, .usesOld], nodes)
        case .withdrawn: Self.lagging([.keepsNew, .usesNew], nodes)
        }
    }

    private func requireNone(of lags: [Lag], _ nodes: [Node]) throws(Refusal) {
        let found = Self.lagging(lags, nodes)
        if !found.isEmpty { throw .lagging(found) }
    }

    private static func lagging(_ lags: [Lag], _ nodes: [Node]) -> [String: [Lag]] {
        var found: [String: [Lag]] = [:]
        for node in nodes {
            let own = lags.filter { holds($0, for: node.report) }
            if !own.isEmpty { found[node.name] = own }
        }
        return found
    }

    private static func holds(_ lag: Lag, for report: Report?) -> Bool {
        guard let report else { return lag == .silent }
        return switch lag {
        case .silent: false
        case .lacksNew: !report.hasNew
        case .lacksOld: !report.hasOld
        case .usesOld: report.usesOld
        case .usesNew: report.usesNew
        case .keepsOld: report.keepsOld
        case .keepsNew: report.keepsNew
        }
    }

    private mutating func reach(_ next: Phase, at now: Int64) {
        phase = next
        pace = .canary
        canary = nil
        canarySince = nil
        changedAt = now
    }
}
