import ArgumentParser

/// The agent and its command line in one program: `nodeguard run` is the daemon, all else asks it.
@main struct Nodeguard: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "nodeguard",
        abstract: "Mutual TLS, certificates, sealed backups and audit for a database node.",
        discussion: """
            Exit status of the verbs that read: 0 ready, 1 degraded, 2 failed, 3 the daemon does not answer, \
            4 not allowed, 64 usage, 78 configuration.
            """,
        version: "nodeguard \(version)",
        subcommands: [
            RunCommand.self, JoinCommand.self, StatusCommand.self, CheckCommand.self, ConnectionsCommand.self,
            BansCommand.self, CertificatesCommand.self, PublishCommand.self, BackupCommand.self, AuditCommand.self,
            DrainCommand.self, UndrainCommand.self, ReloadCommand.self, ExplainCommand.self, ConfigCommand.self,
            VersionCommand.self, HoldKeysCommand.self,
        ])
}

/// How a verb ended, for scripts.
enum VerbStatus: Int32, CaseIterable {
    case ready = 0
    case degraded = 1
    case failed = 2
    case unreachable = 3
    case notAllowed = 4
    case usage = 64
    case configuration = 78

    /// Of a node's state, as the status document names it; a node that is not ready has failed for whoever asks.
    init(state: String) {
        switch state {
        case "ready": self = .ready
        case "degraded": self = .degraded
        default: self = .failed
        }
    }
}

/// Why a verb ends without its result: what to say, and the exit status.
struct VerbFailure: Error, Equatable, CustomStringConvertible {
    let status: VerbStatus
    let text: String

    init(_ status: VerbStatus, _ text: String) {
        self.status = status
        self.text = text
    }

    /// Where a failure is a reason: in the log and in the audit log.
    var description: String { text }
}

/// A verb that says why it failed in one line on standard error, and ends with a status of ours.
protocol Verb: AsyncParsableCommand {
    /// Returns the exit status.
    func perform() async throws(VerbFailure) -> VerbStatus
}

extension Verb {
    func run() async throws {
        let status: VerbStatus
        do {
            status = try await perform()
        } catch {
            Console.complain(error.text)
            throw ExitCode(error.status.rawValue)
        }
        if status != .ready { throw ExitCode(status.rawValue) }
    }
}

/// Where the configuration is; every verb takes it.
struct ConfigurationOption: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The configuration file.", valueName: "path"))
    var config = NodeConfiguration.defaultPath

    func read() throws(VerbFailure) -> NodeConfiguration {
        do {
            return try NodeConfiguration.read(config)
        } catch {
            throw VerbFailure(.configuration, error.description)
        }
    }
}

struct JSONFlag: ParsableArguments {
    @Flag(name: .long, help: "Print JSON, for programs.")
    var json = false
}
