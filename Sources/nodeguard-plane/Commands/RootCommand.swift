import ArgumentParser
import Glibc

/// Where the root's key is, for what only the root can sign.
struct RootKeyOption: ParsableArguments {
    @Option(
        help: ArgumentHelp("The root's key, where it is offline, as `root offline` wrote it.", valueName: "file"))
    var rootKey: String?
    @Option(help: ArgumentHelp("The operator's private key, which opens that file.", valueName: "file"))
    var operatorKey: String?

    /// The state, with the root's key in this process alone.
    func open(_ option: StateOption, creating: Bool = false) throws -> PlaneState {
        let state = try option.open(creating: creating)
        guard let rootKey else { return state }
        return state.with(rootKey: try RootKeyFile.read(rootKey, with: operatorKey))
    }
}

struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "root", abstract: "Keep the root's key somewhere else than where the plane runs.",
        discussion: """
            The plane issues by its intermediates and needs no root for it. What needs one says so, and takes it with \
            --root-key: cluster create, rotate-ca, desired rotate-key, and revoke of an authority.
            """,
        subcommands: [Export.self, Offline.self, Online.self])

    struct Recipients: ParsableArguments {
        @Option(name: .customLong("to"), help: "The file to write, which must not be there.") var file: String
        @Option(
            name: .customLong("recipient"),
            help: ArgumentHelp(
                "A file with the public key, X25519 or P-256 in PEM, of who may open it; repeatable.",
                valueName: "file"))
        var recipients: [String]

        func validate() throws {
            guard !recipients.isEmpty else { throw ValidationError("--recipient names at least one public key") }
        }

        var keys: [OperatorPublicKey] { get throws { try recipients.map { try OperatorPublicKey(file: $0) } } }
    }

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a sealed copy of the root's key; the key stays where it is.")

        @OptionGroup var sealed: Recipients
        @OptionGroup var state: StateOption

        func run() throws {
            let (state, keys) = (try state.open(), try sealed.keys)
            let custody = RootCustody(state: state, actor: .caller, now: UnixTime.now)
            let root = try state.database.write { try custody.export(to: sealed.file, keys, $0) }
            print("\(sealed.file) holds the key of the root \(root.certificate.pin)")
        }
    }

    struct Offline: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a sealed copy of the root's key, and remove the key from the state folder.",
            discussion: """
                Other planes that share the database have it in folders of their own: remove it there too. If this was \
                cut off, and `status` says that the key is left, the same again, to another file, ends it.
                """)

        @OptionGroup var sealed: Recipients
        @OptionGroup var state: StateOption

        func run() throws {
            let (state, keys) = (try state.open(), try sealed.keys)
            let custody = RootCustody(state: state, actor: .caller, now: UnixTime.now)
            let root = try state.database.write { try custody.export(to: sealed.file, keys, orLeft: true, $0) }
            let isLeft = try state.database.read { try OfflineRoot.since(root, $0) } != nil
            if !isLeft { try state.database.write { try custody.takeOffline(root, $0) } }
            try custody.removeKey(of: root)
            print(
                """
                The key of the root \(root.certificate.pin) is in \(sealed.file), and in \(state.directory) no more; \
                keep that file, and whoever's key opens it, where no plane is. What needs it takes \
                --root-key \(sealed.file) --operator-key KEY.
                Copies that there may be: backups that were made until now, files of `root export`, and the state \
                folders of other planes of this database. Whoever has one of those has the root.
                """)
        }
    }

    struct Online: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put the root's key back into the state folder.")

        @Argument(help: "The file that `root offline` or `root export` has written.") var file: String
        @Option(help: ArgumentHelp("The operator's private key, which opens it.", valueName: "file"))
        var operatorKey: String?
        @OptionGroup var state: StateOption

        func run() throws {
            let key = try RootKeyFile.read(file, with: operatorKey)
            let state = try state.open()
            let custody = RootCustody(state: state, actor: .caller, now: UnixTime.now)
            let root = try state.database.write { try custody.bringOnline(key, $0) }
            print("the key of the root \(root.certificate.pin) is in the state folder again")
        }
    }
}
