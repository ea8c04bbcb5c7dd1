import PlaneAPI

/// What an operator gives to a node that is to join: within one transaction, its place among the nodes, a token, and
/// the bundle around that.
struct Invitation {
    let cluster: String
    let node: String
    /// Where the node reaches the plane; nil: where that listens.
    let url: String?
    let lifetime: TimeSpan

    func make(_ state: PlaneState, now: Int64, _ database: Database) throws -> JoinBundle {
        try state.requireCluster(cluster, database)
        let stored = try PlaneState.setting(PlaneState.urlSetting, database)
        guard let url = url ?? stored.map({ String(decoding: $0, as: UTF8.self) }) else {
            throw PlaneProblem(
                "no address for the bundle", remedy: "start the plane once, or give --url https://HOST:PORT")
        }
        guard url.hasPrefix("https://") else {
            throw PlaneProblem("--url \(url) is no address", remedy: "it must begin with https://")
        }
        try state.invite(node: node, of: cluster, now: now, database)
        let token = try JoinToken.create(
            cluster: cluster, node: node, lifetime: lifetime.seconds, now: now, database)
        try state.log.record(
            PlaneEvent(
                name: "token.create", actor: .caller, cluster: cluster, node: node,
                detail: "token \(token.id), for \(url), to be used within \(lifetime.defaultValueDescription)"),
            now: now, database)
        return JoinBundle(
            url: url, cluster: cluster, node: node, pins: try AuthoritiesInForce(database).pins, token: token.text)
    }
}
