import ArgumentParser
import Backups
import Glibc

/// Backups, through the daemon, which alone has the keys.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Make, list, verify, restore and delete sealed backups.",
        discussion: """
            NAME is a label; each backup under it is a new one. Where a backup is read, NAME means the newest complete \
            one, NAME@TIME or its id a certain one.
            """,
        subcommands: [Put.self, Run.self, Get.self, List.self, Verify.self, Delete.self])

    struct Put: Verb {
        static let configuration = CommandConfiguration(
            commandName: "put", abstract: "Back up standard input, to its end.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @OptionGroup var target: TargetOption
        @Argument(help: "The label of the backup.") var name: String
        @Flag(name: .long, help: "An empty stream is a backup too.") var allowEmpty = false

        func perform() async throws(VerbFailure) -> VerbStatus {
            if isatty(STDIN_FILENO) == 1 {
                throw VerbFailure(.usage, "standard input is a terminal: pipe the stream that is to be backed up")
            }
            return try BackupCalls(location, form).report("backed up") { client, progress throws(BackupError) in
                let input = try StreamClient.standardInput()
                return try client.put(
                    name, target: target.target, allowEmpty: allowEmpty, from: input, progress: progress)
            }
        }
    }

    struct Run: Verb {
        static let configuration = CommandConfiguration(
            commandName: "run",
            abstract: "Back up what a command writes; only if it ends with status 0 there is a backup.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @OptionGroup var target: TargetOption
        @Argument(help: "The label of the backup.") var name: String
        @Flag(name: .long, help: "An empty stream is a backup too.") var allowEmpty = false
        @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.") var command: [String]

        func validate() throws {
            if command.isEmpty { throw ValidationError("There is no command: nodeguard backup run NAME -- COMMAND…") }
        }

        func perform() async throws(VerbFailure) -> VerbStatus {
            try BackupCalls(location, form).report("backed up") { client, progress throws(BackupError) in
                try client.run(
                    name, target: target.target, allowEmpty: allowEmpty, command: command, progress: progress)
            }
        }
    }

    struct Get: Verb {
        static let configuration = CommandConfiguration(
            commandName: "get", abstract: "Restore a backup to standard output; it counts only if the exit status is 0."
        )

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var target: TargetOption
        @Argument(help: "NAME, NAME@TIME or an id.") var backup: String

        func perform() async throws(VerbFailure) -> VerbStatus {
            if Console.isTerminal {
                throw VerbFailure(.usage, "standard output is a terminal: redirect it to where the backup is to go")
            }
            return try BackupCalls(location, nil).report("restored") { client, progress throws(BackupError) in
                let output = try StreamClient.standardOutput()
                return try client.get(backup, target: target.target, to: output, progress: progress)
            }
        }
    }

    struct List: Verb {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the complete backups, oldest first.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @OptionGroup var target: TargetOption

        func perform() async throws(VerbFailure) -> VerbStatus {
            try BackupCalls(location, form).list(target.target)
            return .ready
        }
    }

    struct Verify: Verb {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Check a backup: 1 its objects, 2 their stored bytes, 3 every byte opened."
        )

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @OptionGroup var target: TargetOption
        @Argument(help: "NAME, NAME@TIME or an id.") var backup: String
        @Option(name: .long, help: "How thorough, 1 to 3.") var level = 3

        func validate() throws {
            guard (1...3).contains(level) else { throw ValidationError("The level must be 1, 2 or 3.") }
        }

        func perform() async throws(VerbFailure) -> VerbStatus {
            try BackupCalls(location, form).report("verified") { client, progress throws(BackupError) in
                try client.verify(backup, target: target.target, level: level, progress: progress)
            }
        }
    }

    struct Delete: Verb {
        static let configuration = CommandConfiguration(commandName: "delete", abstract: "Delete one backup for good.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @OptionGroup var target: TargetOption
        @Argument(help: "NAME, NAME@TIME or an id.") var backup: String

        func perform() async throws(VerbFailure) -> VerbStatus {
            try BackupCalls(location, form).report("deleted") { client, _ throws(BackupError) in
                try client.delete(backup, target: target.target)
            }
        }
    }
}

struct TargetOption: ParsableArguments {
    @Option(name: .long, help: "A target of the configuration; may be left out where there is one.") var target: String?
}
