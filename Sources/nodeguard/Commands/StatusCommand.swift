import ArgumentParser
import FoundationEssentials
import Reports

/// How the node is, for a person or a program.
struct StatusCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show how the node is: its state, what is wrong and what to do.")

    @OptionGroup var location: ConfigurationOption
    @OptionGroup var form: JSONFlag

    func perform() async throws(VerbFailure) -> VerbStatus {
        let (body, document) = try await LocalQuestions(configuration: location.read().status).status()
        let isColoured = Console.isColoured(
            isTerminal: Console.isTerminal, ProcessInfo.processInfo.environment)
        let text = StatusText(document: document, now: Timestamp.now.seconds, isColoured: isColoured)
        Console.say(form.json ? body : text.render())
        return VerbStatus(state: document["state"]?.string ?? "")
    }
}

/// One line for a monitor, in the manner of Nagios' plugins.
struct CheckCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Print one line for a monitor; the exit status says OK, WARNING, CRITICAL or UNKNOWN."
    )

    @OptionGroup var location: ConfigurationOption
    @Option(name: .long, help: "Warn when a certificate expires in fewer days.")
    var certificateDays = 7
    @Option(name: .long, help: "Warn when an audit event has waited for more seconds.")
    var spoolSeconds = 3600

    func perform() async throws(VerbFailure) -> VerbStatus {
        let configuration = try location.read()
        do throws(VerbFailure) {
            let (_, document) = try await LocalQuestions(configuration: configuration.status).status()
            let line = CheckLine(
                document, now: Timestamp.now.seconds,
                limits: CheckLine.Limits(certificateDays: certificateDays, spoolSeconds: spoolSeconds))
            Console.say(line.text)
            return line.status
        } catch {
            Console.say("NODEGUARD UNKNOWN - \(error.text.printable)")
            return error.status == .notAllowed ? .notAllowed : .unreachable
        }
    }
}

/// `nodeguard version`.
struct VersionCommand: Verb {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @OptionGroup var location: ConfigurationOption
    @OptionGroup var form: JSONFlag

    func perform() async throws(VerbFailure) -> VerbStatus {
        let document: JSONValue = ["name": "nodeguard", "version": .string(Nodeguard.version)]
        Console.say(form.json ? document.text : Nodeguard.configuration.version)
        return .ready
    }
}
