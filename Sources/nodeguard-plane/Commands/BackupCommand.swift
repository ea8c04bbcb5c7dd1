import ArgumentParser

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Write a copy of the plane that only the holder of a key can read.",
        discussion: "It is of one moment, while the plane runs, and holds all keys of the state folder.",
        subcommands: [Create.self, Key.self], defaultSubcommand: Create.self)

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write a backup; `backup` alone means this.")

        @Option(name: .customLong("to"), help: "The file to write, which must not be there.") var file: String
        @Option(
            name: .customLong("recipient"),
            help: ArgumentHelp(
                "A file with the public key, X25519 or P-256 in PEM, of who may open it; repeatable.",
                valueName: "file"))
        var recipients: [String]
        @OptionGroup var state: StateOption

        func validate() throws {
            guard !recipients.isEmpty else { throw ValidationError("--recipient names at least one public key") }
        }

        func run() throws {
            let keys = try recipients.map { try OperatorPublicKey(file: $0) }
            let state = try state.open()
            let manifest = try StateBackup(state: state, recipients: keys).write(to: file, now: UnixTime.now)
            let names = keys.map(\.id).joined(separator: ", ")
            try state.database.write { database in
                try state.log.record(
                    PlaneEvent(
                        name: "plane.backup", actor: .caller,
                        detail: "of event \(manifest.logSize) of this log, sealed to \(names)"),
                    now: UnixTime.now, database)
            }
            let rows = manifest.tables.values.reduce(0, +)
            print(
                "\(file): \(manifest.files.count) files, \(rows) rows, event \(manifest.logSize) of the plane's own log"
            )
            print("sealed to \(names)")
        }
    }

    struct Key: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key pair of an operator, for backups of the plane and its root's key.",
            discussion: """
                Writes FILE (0600), which opens them and belongs where no plane is, and FILE.pub, which seals them.
                """)

        @Option(help: "The file of the private key; its public half is beside it, with .pub.") var out: String

        func run() throws {
            let key = OperatorPrivateKey.create()
            for path in [out, out + ".pub"] where StateFile.exists(path) {
                throw PlaneProblem("\(path) exists", remedy: "nothing was written; name another file")
            }
            let file = try AsideFile(out)
            try file.write(Array(key.pem.privateKey.utf8))
            try file.finish()
            try StateFile.write(Array(key.pem.publicKey.utf8), to: out + ".pub", mode: 0o644)
            print("\(out).pub is \(key.publicKey.id)")
        }
    }
}

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Make a plane of a backup, where there is none.",
        discussion: """
            Whom the lost plane has revoked since the backup, its nodes know: give their lists with --lists, or say \
            with --without-lists that nobody was revoked.
            """)

    @Argument(help: "The backup.") var file: String
    @Option(help: ArgumentHelp("The operator's private key.", valueName: "file")) var key: String
    @Option(
        help: ArgumentHelp(
            "A node's newest revocation/cluster.crl; repeatable, one for each cluster.", valueName: "file"))
    var lists: [String] = []
    @Flag(help: "Nothing was revoked since the backup, or nobody knows.") var withoutLists = false
    @OptionGroup var state: StateOption

    func validate() throws {
        guard lists.isEmpty == withoutLists else {
            throw ValidationError("say --lists FILE for each cluster, or --without-lists")
        }
    }

    func run() throws {
        let restore = StateRestore(
            file: file, key: try OperatorPrivateKey(file: key), directory: state.path, url: state.url,
            lists: try lists.flatMap { try LostRevocationList.read($0) }, now: UnixTime.now)
        let outcome = try restore.run()
        let held = try state.open().database.read { try Restoration.held($0) }
        let size = outcome.manifest.logSize
        print(
            """
            \(state.path) is the plane \(outcome.manifest.plane) as of \(UnixTime.text(outcome.manifest.createdAt))
            Lost is what it did after that, event \(size) of its own log: key pairs of backups that were made since, \
            what operators set, audit events that it had acknowledged (each node goes on with a new epoch).
            \(outcome.taken.revoked) certificates are revoked that were not when the backup was made.
            Join tokens that were not used by then are void: make new ones with `token create`.
            """)
        for issuer in outcome.taken.unknown {
            print("A list of \(issuer) was left out: that authority was made after the backup, and nobody trusts it.")
        }
        if !held.isEmpty {
            print(
                """
                What is desired of nodes is not signed anew by itself, in: \(held.joined(separator: ", ")). Look at it \
                with `desired show`, then `desired set` it, or `desired rotate-key` to sign what is there.
                """)
        }
    }
}
