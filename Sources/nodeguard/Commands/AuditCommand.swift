import ArgumentParser
import Reports

/// What this node has recorded. The log that counts is at the plane.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show the newest audit events of this node or how its spool is; verify an exported log.",
        subcommands: [Tail.self, Spool.self, AuditVerifyCommand.self])

    struct Tail: Verb {
        static let configuration = CommandConfiguration(
            commandName: "tail", abstract: "Print the newest events that this node still has, oldest first.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @Option(name: [.customShort("n"), .long], help: "How many events, at most 1000.")
        var count = 20

        func validate() throws {
            guard (1...1000).contains(count) else { throw ValidationError("The count must be from 1 to 1000.") }
        }

        func perform() async throws(VerbFailure) -> VerbStatus {
            let status = try location.read().status
            let (body, document) = try await LocalQuestions(configuration: status).document(
                "/v1/audit/events?count=\(count)", at: status.control)
            let events = document["events"]?.items ?? document.items
            Console.say(form.json ? body : events.isEmpty ? "no event" : events.map(Self.line).joined(separator: "\n"))
            return .ready
        }

        /// Time, number, name, outcome, and the fields in their order.
        static func line(_ event: JSONValue) -> String {
            var words = [
                event["time"]?.shown ?? "-", event["seq"]?.shown ?? "-", event["name"]?.shown ?? "-",
                event["outcome"]?.shown ?? "-",
            ]
            if case .object(let fields) = event["fields"] {
                // An empty list says nothing to a person.
                words += fields.filter { $0.value != .array([]) }.sorted { $0.key < $1.key }
                    .map { "\($0.key.printable)=\($0.value.shown)" }
            }
            return words.joined(separator: " ")
        }
    }

    struct Spool: Verb {
        static let configuration = CommandConfiguration(
            commandName: "spool", abstract: "Show how much waits in the spool, and what has been acknowledged.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag

        func perform() async throws(VerbFailure) -> VerbStatus {
            let status = try location.read().status
            let (body, document) = try await LocalQuestions(configuration: status).document(
                "/v1/audit", at: status.socket)
            Console.say(form.json ? body : Self.text(document))
            return .ready
        }

        static func text(_ section: JSONValue) -> String {
            guard case .object(let members) = section else { return "the spool is not open" }
            var table = TextTable(columns: [.init(title: ""), .init(title: "")])
            table.rows = members.sorted { $0.key < $1.key }.map { key, value in
                let isSize = key.hasSuffix("_bytes")
                return [
                    key.printable.replacing("_", with: " "),
                    isSize ? value.number.map(Measures.bytes) ?? value.shown : value.shown,
                ]
            }
            return table.lines(width: Console.width, hasTitles: false).joined(separator: "\n")
        }
    }
}
