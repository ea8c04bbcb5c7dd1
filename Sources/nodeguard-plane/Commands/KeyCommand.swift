import ArgumentParser

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "The custody of backup keys.",
        discussion: """
            Keys are wrapped by a key in the plane's PKCS #11 token (run --hsm) or, without one, in DIR/wrapping.key: \
            whoever has that file and the backups can read them. Without the key nobody can.
            """,
        subcommands: [List.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys; never shows one.")

        @Flag(help: "As JSON.") var json = false
        @OptionGroup var state: StateOption

        struct Line: Encodable {
            let id: String
            let cluster: String
            let node: String
            let backup: String
            let kek: String
            let created: String
            let unwraps: Int64
            let deletion: String?
        }

        func run() throws {
            let lines = try state.open().database.read { database in
                try Row.fetchAll(database, sql: "SELECT * FROM keys ORDER BY created_at, id").map { row in
                    let deletion: Int64? = row["deletion_requested_at"]
                    return Line(
                        id: row["id"], cluster: row["cluster"], node: row["node"], backup: row["backup"],
                        kek: row["kek"], created: UnixTime.text(row["created_at"]), unwraps: row["unwraps"],
                        deletion: deletion.map { UnixTime.text($0 + KeyCustody.deletionDelay) })
                }
            }
            if json { return try JSONOutput.print(lines) }
            var table = TextTable(["KEY", "CLUSTER", "NODE", "BACKUP", "CREATED", "OPENED", "DELETED AT"])
            for line in lines {
                table.add([
                    line.id, line.cluster, line.node, line.backup, line.created, String(line.unwraps),
                    line.deletion ?? "-",
                ])
            }
            print(table)
        }
    }
}
