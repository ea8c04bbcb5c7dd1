import ArgumentParser

struct RotationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-ca", abstract: "Change the root, and with it each cluster's authority, in phases.",
        discussion: """
            start: every node trusts the new root beside the old one. issue: certificates come from the new root, \
            first at one node. finish: the old root is dropped. No step is taken while a node lags behind. rollback \
            takes back the last step.
            """,
        subcommands: [Start.self, Issue.self, Finish.self, Rollback.self, Status.self])

    struct Start: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the new root; nodes trust it beside the old one, which goes on issuing.")

        @OptionGroup var root: RootKeyOption
        @OptionGroup var state: StateOption

        func run() throws {
            let rotation = try root.take(state) { steps, database in try steps.start(database) }
            print(
                """
                rotation \(rotation.id) has started: nodes are given the new root beside the old one.
                Give both to your applications (`nodeguard-plane trust --out FILE`), then go on with `rotate-ca issue`.
                """)
        }
    }

    struct Issue: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Issue from the new root, first at one node; go on after a halt.",
            discussion: """
                The first node renews at once. When it has reported for the time of --watch that it serves the new \
                certificates, and fewer than --alerts clients have refused them, the others renew, spread over \
                --spread. At --alerts refusals of one node the issuing halts by itself.
                """)

        @Option(help: "The first node; default: the first of all. With --cluster if its name is not unique.")
        var node: String?
        @Option(help: "The first node's cluster.") var cluster: String?
        @Option(help: "So many clients of one node that do not know the new authority halt the issuing.")
        var alerts: Int64 = 3
        @Option(help: "How long the first node serves before the others follow.")
        var watch = TimeSpan(seconds: 300)
        @Option(help: "Over which time the others renew.") var spread = TimeSpan(seconds: 3600)
        @OptionGroup var root: RootKeyOption
        @OptionGroup var state: StateOption

        func validate() throws {
            guard alerts > 0 else { throw ValidationError("--alerts is at least 1") }
            guard node != nil || cluster == nil else { throw ValidationError("--cluster goes with --node") }
        }

        func run() throws {
            let terms = RotationStateMachine.Terms(
                alertLimit: alerts, watch: watch.seconds, spread: spread.seconds)
            let rotation = try root.take(state) { steps, database in
                try steps.issue(canary: try place(now: steps.now, database), terms, database)
            }
            guard let canary = rotation.machine.canary else {
                print("new certificates come from the new root")
                return
            }
            print(
                """
                new certificates come from the new root: \(canary) renews now, the others follow by themselves.
                `rotate-ca status` says how far it is; certificates of applications are made by `client-certificate`.
                """)
        }

        /// `CLUSTER/NODE`.
        private func place(now: Int64, _ database: Database) throws -> String? {
            guard let node else { return nil }
            let found = try RotationReports.reporters(now: now, database).filter {
                $0.node == node && (cluster == nil || $0.cluster == cluster)
            }
            guard found.count < 2 else {
                throw PlaneProblem("several clusters have a node \(node)", remedy: "say which with --cluster")
            }
            return found.first?.place ?? "\(cluster.map { $0 + "/" } ?? "")\(node)"
        }
    }

    struct Finish: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Drop the old root; its certificates are refused from then on.")

        @OptionGroup var root: RootKeyOption
        @OptionGroup var state: StateOption

        func run() throws {
            let ended = try root.take(state) { steps, database in
                let rotation = try steps.finish(database)
                return try RotationStatus.clientsOfOldRoot(rotation, now: steps.now, database)
            }
            print("the old root is trusted no more; nodes drop it, and end the sessions of its clients")
            if ended > 0 { print("\(ended) certificates of applications ended with it") }
        }
    }

    struct Rollback: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take back the last step, by one phase.")

        @OptionGroup var root: RootKeyOption
        @OptionGroup var state: StateOption

        func run() throws {
            let rotation = try root.take(state) { steps, database in try steps.rollBack(database) }
            switch rotation.machine.phase {
            case .issuing: print("the old root is trusted again; certificates go on coming from the new one")
            case .trusting: print("certificates come from the old root again; those of the new one are renewed")
            default: print("the new root is withdrawn; nodes drop it")
            }
        }
    }
}

extension RootKeyOption {
    /// One step as the person at the verb, in one transaction.
    fileprivate func take<Value>(
        _ option: StateOption, _ step: (RotationSteps, Database) throws -> Value
    ) throws -> Value {
        let state = try open(option)
        let steps = RotationSteps(state: state, actor: .caller, now: UnixTime.now)
        return try state.database.write { try step(steps, $0) }
    }
}
