import ArgumentParser

struct RecoveryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery", abstract: "Say how often a node whose identity expired may recover by itself.",
        subcommands: [Limit.self])

    struct Limit: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set how often in 30 days; 0: its nodes need join bundles.")

        @Argument(help: "How often; 3 where nothing is set.") var count: Int64
        @Option(help: "The cluster.") var cluster: String
        @OptionGroup var state: StateOption

        func validate() throws {
            guard (0...1000).contains(count) else { throw ValidationError("the limit is 0 to 1000") }
        }

        func run() throws {
            let state = try state.open()
            try state.database.write { database in
                try state.requireCluster(cluster, database)
                try NodeRecovery.setLimit(count, of: cluster, database)
                try state.log.record(
                    PlaneEvent(
                        name: "recovery.limit", actor: .caller, cluster: cluster, detail: "\(count) in 30 days"),
                    now: UnixTime.now, database)
            }
            print("a node of \(cluster) may recover \(count) times in 30 days")
        }
    }
}
