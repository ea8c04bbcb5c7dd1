extension RotationStateMachine.Refusal {
    /// For the operator.
    var problem: PlaneProblem {
        switch self {
        case .noRotation:
            PlaneProblem("no rotation is under way", remedy: "`nodeguard-plane rotate-ca start` begins one")
        case .underWay(let phase):
            PlaneProblem(
                "a rotation is under way (\(phase.rawValue))",
                remedy: "end it with `rotate-ca finish` or `rotate-ca rollback`")
        case .alreadyIssuing:
            PlaneProblem("the new root issues already", remedy: "`rotate-ca status` says how far it is")
        case .onlyCanary:
            PlaneProblem(
                "only the first node gets certificates of the new root yet",
                remedy: "the others follow by themselves; `rotate-ca status` says what it waits for")
        case .halted:
            PlaneProblem(
                "the issuing was halted, because clients do not know the new root",
                remedy: "give them both roots and `rotate-ca issue` again, or take it back with `rotate-ca rollback`")
        case .notIssuing(let phase):
            PlaneProblem(
                "the rotation is in the phase \(phase.rawValue): nothing is issued by the new root yet",
                remedy: "`rotate-ca issue` comes first")
        case .nothingToUndo:
            PlaneProblem("there is nothing to take back", remedy: "nothing was changed")
        case .unknownCanary(let name):
            PlaneProblem(
                "\(name) is no node with an identity in time", remedy: "`nodeguard-plane nodes` lists them")
        case .lagging(let nodes):
            PlaneProblem(
                "nodes lag behind: " + Self.text(nodes),
                remedy: "wait for their reports, or remove a node that is gone (`nodeguard-plane node remove`)")
        }
    }

    private static func text(_ nodes: [String: [RotationStateMachine.Lag]]) -> String {
        nodes.sorted { $0.key < $1.key }
            .map { "\($0.key) " + $0.value.map(\.rawValue).joined(separator: " and ") }.joined(separator: "; ")
    }
}
