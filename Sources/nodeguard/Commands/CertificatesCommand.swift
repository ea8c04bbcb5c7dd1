import ArgumentParser
import PlaneAPI
import Reports
import Status

/// The node's certificates.
struct CertificatesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificates", abstract: "List the node's certificates, or renew one now.",
        subcommands: [List.self, Renew.self], defaultSubcommand: List.self)

    struct List: Verb {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the certificates: their names and dates, the next renewal and why, and who serves them.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag

        func perform() async throws(VerbFailure) -> VerbStatus {
            let status = try location.read().status
            let (body, document) = try await LocalQuestions(configuration: status).document(
                "/v1/certificates", at: status.socket)
            let list = CertificatesText(document, now: Timestamp.now.seconds)
            Console.say(form.json ? body : list.text(width: Console.width))
            return .ready
        }
    }

    struct Renew: Verb {
        static let configuration = CommandConfiguration(
            commandName: "renew", abstract: "Renew the certificate of a role now; live connections go on.")

        @OptionGroup var location: ConfigurationOption
        @Argument(help: "A role of the configuration, or 'node' for the node's own identity.")
        var role: String

        func validate() throws {
            guard Name.isValid(role) else { throw ValidationError("'\(role.printable)' is no role.") }
        }

        func perform() async throws(VerbFailure) -> VerbStatus {
            let status = try location.read().status
            let answer = try await LocalQuestions(configuration: status).ask(
                "POST", "/v1/certificates/\(role)/renew", at: status.control)
            let detail = ReadJSON.parse(answer.body)?["detail"]?.shown
            Console.say(detail ?? "the renewal of \(role) has begun")
            return .ready
        }
    }
}
