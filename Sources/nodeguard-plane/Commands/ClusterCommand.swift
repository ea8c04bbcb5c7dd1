import ArgumentParser

struct ClusterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Make and list clusters; each has an issuing authority of its own.",
        subcommands: [Create.self, List.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a cluster.")

        @Argument(help: "Its name: letters, digits, '_' and '-'.")
        var name: String
        @OptionGroup var root: RootKeyOption
        @OptionGroup var state: StateOption

        func validate() throws {
            guard ESTLabel.isClusterName(name) else {
                throw ValidationError("a cluster's name '\(name)' may hold letters, digits, '_' and '-' only, 1 to 63")
            }
        }

        func run() throws {
            let state = try root.open(state, creating: true)
            try state.database.write { database in
                guard try !state.clusterNames(database).contains(name) else {
                    throw PlaneProblem("the cluster \(name) exists", remedy: "nothing was changed")
                }
                try state.createCluster(name, now: UnixTime.now, database)
                try state.log.record(
                    PlaneEvent(
                        name: "cluster.create", actor: .caller, cluster: name,
                        detail: "an issuing authority of its own is made"),
                    now: UnixTime.now, database)
            }
            print("cluster \(name) is made")
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the clusters.")

        @OptionGroup var state: StateOption
        @Flag(help: "As JSON.") var json = false

        struct Line: Encodable {
            let name: String
            let nodes: Int
            let created: String
            /// Serial numbers of its authorities, the issuing one first.
            let authorities: [String]
        }

        func run() throws {
            let lines = try state.open().database.read { database in
                let inForce = try AuthoritiesInForce(database)
                return try Row.fetchAll(
                    database,
                    sql: """
                        SELECT name, created_at, (SELECT count(*) FROM nodes WHERE cluster = clusters.name) AS nodes
                        FROM clusters ORDER BY name
                        """
                ).map { row in
                    let name: String = row["name"]
                    let own = inForce.intermediates(of: name).filter { $0.revokedAt == nil }
                    return Line(
                        name: name, nodes: row["nodes"], created: UnixTime.text(row["created_at"]),
                        authorities: own.map(\.certificate.serialText))
                }
            }
            if json { return try JSONOutput.print(lines) }
            var table = TextTable(["CLUSTER", "NODES", "CREATED", "AUTHORITIES"])
            for line in lines {
                table.add([line.name, String(line.nodes), line.created, line.authorities.joined(separator: " ")])
            }
            print(table)
        }
    }
}
