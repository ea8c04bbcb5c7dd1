import FoundationEssentials

/// The steps of a rotation, each one transaction with its event: after a crash it has happened, or it has not.
struct RotationSteps {
    let state: PlaneState
    let actor: PlaneEvent.Actor
    let now: Int64

    /// Makes the new root, an intermediate under it for each cluster, and the cross certificates. The intermediates
    /// come now, not when they are needed: listeners trust their cluster's, and must know them before a client has a
    /// certificate of one.
    func start(_ database: Database) throws -> Rotation {
        let inForce = try AuthoritiesInForce(database)
        var machine = inForce.rotation?.machine ?? RotationStateMachine()
        let nodes = try nodes(inForce, database)
        try refusing { () throws(RotationStateMachine.Refusal) in try machine.startOrdered(nodes, at: now) }
        guard let current = inForce.planeRoot else {
            throw PlaneProblem("there is no root", remedy: "restore the state folder from your copy")
        }
        let old = try current.load(from: state, database)
        let new = try old.makeSuccessor(state.keys.make("root"), now: now)
        let record = try AuthorityRecord.add(
            new, cluster: nil, root: nil, keys: state.keys, now: now, database)
        for cluster in try state.clusterNames(database) {
            try state.addIntermediate(of: cluster, under: record, now: now, database)
        }
        let rotation = Rotation(
            id: (inForce.rotation?.id ?? 0) + 1, machine: machine, oldRoot: current.id, newRoot: record.id,
            newWithOld: try old.certify(new, now: now), oldWithNew: try new.certify(old, now: now), halt: nil,
            startedAt: now)
        try rotation.store(database)
        try recordStep(
            "start", rotation, "the root \(record.certificate.pin) is to follow \(current.certificate.pin)", database)
        return rotation
    }

    /// `canary`: nil: the first of all.
    func issue(
        canary: String?, _ terms: RotationStateMachine.Terms, _ database: Database
    ) throws -> Rotation {
        try step("issue", database) { rotation, nodes throws(RotationStateMachine.Refusal) in
            try rotation.machine.issueOrdered(
                canary: canary ?? nodes.first?.name ?? "", terms, nodes, at: now)
            rotation.halt = nil
            return rotation.machine.canary.map {
                "new certificates come from the new root: first \($0), the others after \(terms.watch) s, unless "
                    + "\(terms.alertLimit) of its clients refuse them"
            } ?? "new certificates come from the new root"
        }
    }

    func finish(_ database: Database) throws -> Rotation {
        try step("finish", database) { rotation, nodes throws(RotationStateMachine.Refusal) in
            try rotation.machine.finishOrdered(nodes, at: now)
            return "the old root is trusted no more"
        }
    }

    func rollBack(_ database: Database) throws -> Rotation {
        try step("rollback", database) { rotation, nodes throws(RotationStateMachine.Refusal) in
            let before = rotation.machine.phase
            try rotation.machine.rollbackOrdered(nodes, at: now)
            rotation.halt = nil
            return "from \(before?.rawValue ?? "-") back to \(rotation.machine.phase?.rawValue ?? "-")"
        }
    }

    /// In the transaction that keeps the report of this node (`CLUSTER/NODE`).
    func reported(by node: String, _ database: Database) throws {
        let inForce = try AuthoritiesInForce(database)
        guard var rotation = inForce.rotation, rotation.machine.phase == .issuing else { return }
        guard let found = try nodes(inForce, database).first(where: { $0.name == node }) else { return }
        let before = RotationStateMachine.alertsBefore(found)
        if before != found.alertsBefore { try rotation.setAlertsBefore(before, of: node, database) }
        let known = rotation.machine
        switch rotation.machine.reported(found, at: now) {
        case .none: break
        case .widened:
            try recordStep(
                "widen", rotation,
                "\(node) serves certificates of the new root and no client minds: the others follow within "
                    + "\(rotation.machine.terms.spread) s", database)
        case .halted(let name, let alerts):
            let reason = "\(alerts) clients of \(name) refuse its new certificates as of an unknown authority"
            rotation.halt = reason
            try recordStep("halt", rotation, reason, database)
        }
        if rotation.machine != known { try rotation.store(database) }
    }

    // MARK: in common

    private func step(
        _ name: String, _ database: Database,
        _ decide: (inout Rotation, [RotationStateMachine.Node]) throws(RotationStateMachine.Refusal) -> String
    ) throws -> Rotation {
        let inForce = try AuthoritiesInForce(database)
        guard var rotation = inForce.rotation else { throw RotationStateMachine.Refusal.noRotation.problem }
        let nodes = try nodes(inForce, database)
        let words = try refusing { () throws(RotationStateMachine.Refusal) in try decide(&rotation, nodes) }
        if rotation.machine.phase == .issuing {
            // What clients have refused until now is no news.
            for node in nodes { try rotation.setAlertsBefore(node.report?.alertCount ?? 0, of: node.name, database) }
        }
        try rotation.store(database)
        try recordStep(name, rotation, words, database)
        if try AuthoritiesInForce(database).planeRoot?.id != inForce.planeRoot?.id { try signDesiredStates(database) }
        return rotation
    }

    /// Under a key that the root of now has certified: nodes verify what they have again at each start, and keep
    /// everybody out where they cannot.
    private func signDesiredStates(_ database: Database) throws {
        for cluster in try String.fetchAll(database, sql: "SELECT cluster FROM desired_versions ORDER BY cluster") {
            let version = try DesiredStates.sign(cluster, state, by: actor, now: now, database)
            try state.log.record(
                PlaneEvent(name: "desired.renew", actor: actor, cluster: cluster, detail: "version \(version)"),
                now: now, database)
        }
    }

    private func refusing<Value>(
        _ body: () throws(RotationStateMachine.Refusal) -> Value
    ) throws -> Value {
        do throws(RotationStateMachine.Refusal) {
            return try body()
        } catch {
            throw error.problem
        }
    }

    private func nodes(_ inForce: AuthoritiesInForce, _ database: Database) throws -> [RotationStateMachine.Node] {
        guard let rotation = inForce.rotation else { return [] }
        return try RotationReports(rotation, inForce.records, database)
            .nodes(RotationReports.reporters(now: now, database))
    }

    private func recordStep(_ name: String, _ rotation: Rotation, _ words: String, _ database: Database) throws {
        try state.log.record(
            PlaneEvent(name: "rotation.\(name)", actor: actor, detail: "rotation \(rotation.id): \(words)"), now: now,
            database)
    }
}
