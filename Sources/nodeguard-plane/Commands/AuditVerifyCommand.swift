import ArgumentParser

struct AuditVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Recompute sequence, hash tree and signatures; exit status 1 if anything is off.",
        discussion: "Of the logs that nodes sent and of the plane's own, unless one of them is named.")

    @OptionGroup var selection: AuditSelection
    @Flag(help: "As JSON, one log a line.") var json = false
    @OptionGroup var state: StateOption

    /// The plane's own log has no cluster, node and epoch.
    struct Line: Encodable {
        let origin: String
        var cluster: String?
        var node: String?
        var epoch: UInt64?
        let events: UInt64
        let checkpoints: Int
        let intact: Bool
        let flaw: String?
    }

    func run() throws {
        let state = try state.open()
        let lines = try state.database.read { database in
            try selection.logs(database).map { log in
                let report = try AuditLogVerification(log: log, witness: state.witness).run(database)
                return Line(
                    origin: log.place.origin, cluster: log.place.cluster, node: log.place.node, epoch: log.place.epoch,
                    events: report.events, checkpoints: report.checkpoints, intact: report.flaw == nil,
                    flaw: report.flaw)
            }
        }
        let own = selection.isOfPlane ? try state.database.read { try Self.own(state, $0) } : nil
        guard selection.node == nil || !lines.isEmpty else {
            throw PlaneProblem(
                "no audit log of \(selection.node ?? "") was received",
                remedy: "`nodeguard-plane audit list` shows all")
        }
        let broken = (lines + [own].compactMap { $0 }).filter { !$0.intact }
        if json {
            for line in lines + [own].compactMap({ $0 }) { try JSONOutput.print(line) }
        } else {
            print(lines: lines, own: own, anyBroken: !broken.isEmpty)
        }
        if !broken.isEmpty { throw ExitCode(1) }
    }

    private static func own(_ state: PlaneState, _ database: Database) throws -> Line {
        let report = try PlaneLogVerification(key: state.witness).run(database)
        return Line(
            origin: state.witness.name, events: report.events, checkpoints: 1, intact: report.flaw == nil,
            flaw: report.flaw)
    }

    /// A line about what nodes sent and one about the plane's own; what is intact is left out beside what is not.
    private func print(lines: [Line], own: Line?, anyBroken: Bool) {
        let broken = lines.filter { !$0.intact }
        let logs = lines.count == 1 ? "1 log" : "\(lines.count) logs"
        if let first = broken.first {
            let log = "\(first.node ?? "") of \(first.cluster ?? ""), epoch \(first.epoch ?? 0)"
            Swift.print("BROKEN: \(broken.count) of \(logs); \(log): \(first.flaw ?? "")")
        } else if !anyBroken, !selection.plane {
            let events = lines.reduce(0) { $0 + $1.events }
            let checkpoints = lines.reduce(0) { $0 + $1.checkpoints }
            Swift.print(
                "intact: \(events) events in \(logs); sequence, hash tree, "
                    + "\(checkpoints) signed checkpoints and their cosignatures hold")
        }
        if let own, let flaw = own.flaw {
            Swift.print("BROKEN: the plane's own log: \(flaw)")
        } else if let own, !anyBroken {
            Swift.print(
                "intact: \(own.events) events in the plane's own log; sequence, hash tree and signed checkpoint hold")
        }
    }
}
