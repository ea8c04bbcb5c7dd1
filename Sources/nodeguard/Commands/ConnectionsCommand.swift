import ArgumentParser
import Reports
import Status

/// Who is connected; and ending one connection.
struct ConnectionsCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "List the live connections with their peers, or end one.")

    @OptionGroup var location: ConfigurationOption
    @OptionGroup var form: JSONFlag
    @Option(name: .long, help: ArgumentHelp("End this connection.", valueName: "id"))
    var kill: String?

    func validate() throws {
        if let kill, kill.isEmpty || kill.contains(where: { !$0.isASCII || $0 == "/" || $0 == "?" || $0 == " " }) {
            throw ValidationError("'\(kill.printable)' is no connection: take an ID of the list.")
        }
    }

    func perform() async throws(VerbFailure) -> VerbStatus {
        let status = try location.read().status
        let questions = LocalQuestions(configuration: status)
        if let kill {
            let answer = try await questions.ask("DELETE", "/v1/connections/\(kill)", at: status.control)
            Console.say(form.json ? answer.text : "connection \(kill) was ended")
            return .ready
        }
        let connections = try await Self.all(questions)
        let document: JSONValue = ["connections": .array(connections)]
        Console.say(form.json ? document.text : Self.text(connections, Timestamp.now.seconds))
        return .ready
    }

    /// The daemon gives them a page at a time.
    static func all(_ questions: LocalQuestions) async throws(VerbFailure) -> [JSONValue] {
        var all: [JSONValue] = []
        var last: Double = 0
        while true {
            let path = "/v1/connections?after=\(UInt64(last))"
            let (_, page) = try await questions.document(path, at: questions.configuration.control)
            all += page["connections"]?.items ?? []
            // Numbers grow, so this ends.
            guard let next = page["next"]?.number, next > last else { return all }
            last = next
        }
    }

    static func text(_ connections: [JSONValue], _ now: Int64) -> String {
        if connections.isEmpty { return "no connection" }
        var table = TextTable(columns: [
            .init(title: "ID"), .init(title: "LISTENER"), .init(title: "FROM"), .init(title: "SUBJECT"),
            .init(title: "USER"), .init(title: "DATABASE"), .init(title: "FOR", isNumber: true),
            .init(title: "RECEIVED", isNumber: true), .init(title: "SENT", isNumber: true),
        ])
        table.rows = connections.map { connection in
            let since = connection["since"]?.string.flatMap(Measures.seconds)
            return [
                connection["id"]?.shown ?? "", connection["listener"]?.shown ?? "",
                from(connection), connection["peer_subject"]?.shown ?? "",
                connection["user"]?.shown ?? "", connection["database"]?.shown ?? "",
                since.map { Measures.span(max(0, now - $0)) } ?? "",
                connection["bytes_received"]?.number.map(Measures.bytes) ?? "",
                connection["bytes_sent"]?.number.map(Measures.bytes) ?? "",
            ]
        }
        return table.lines(width: Console.width).joined(separator: "\n")
    }

    private static func from(_ connection: JSONValue) -> String {
        let via = connection["carrier_address"]?.string.map { " via \($0.printable)" }
        return (connection["peer_address"]?.shown ?? "") + (via ?? "")
    }
}

/// Stops taking connections and lets the live ones end.
struct DrainCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Take no new connections and let the live ones end.")

    @OptionGroup var location: ConfigurationOption

    func perform() async throws(VerbFailure) -> VerbStatus {
        let status = try location.read().status
        _ = try await LocalQuestions(configuration: status).ask("POST", "/v1/drain", at: status.control)
        Console.say("draining")
        return .ready
    }
}

/// Takes connections again after `drain`.
struct UndrainCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "undrain", abstract: "Take connections again after a drain.")

    @OptionGroup var location: ConfigurationOption

    func perform() async throws(VerbFailure) -> VerbStatus {
        let status = try location.read().status
        _ = try await LocalQuestions(configuration: status).ask("POST", "/v1/undrain", at: status.control)
        Console.say("taking connections again")
        return .ready
    }
}
