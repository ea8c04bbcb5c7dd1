import ArgumentParser
import Reports
import Status

/// Has the running daemon read its configuration and its files again.
struct ReloadCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Take changed access rules, trust, certificate files and the log level over.",
        discussion: """
            Everything is read and tried first, and a mistake anywhere changes nothing. Live sessions that the new \
            rules or trust do not allow are ended. What else has changed needs a restart, and is named. SIGHUP does \
            the same.
            """)

    @OptionGroup var location: ConfigurationOption
    @OptionGroup var form: JSONFlag
    @Flag(name: .long, help: "Return only when the live sessions have been judged, too.")
    var wait = false

    func perform() async throws(VerbFailure) -> VerbStatus {
        // Said with file, line and column here, where the one who changed it reads it.
        let status = try location.read().status
        let answer = try await LocalQuestions(configuration: status).ask(
            "POST", wait ? "/v1/reload?wait" : "/v1/reload", at: status.control, refusal: .configuration)
        guard let document = ReadJSON.parse(answer.body) else {
            throw VerbFailure(.unreachable, "what answers on \(status.control) is not nodeguard")
        }
        Console.say(form.json ? answer.text : Self.text(document))
        return .ready
    }

    static func text(_ document: JSONValue) -> String {
        func names(_ key: String) -> [String] { (document[key]?.items ?? []).map(\.shown) }
        let applied = names("applied")
        var lines = [applied.isEmpty ? "nothing to take over" : "in effect: \(applied.joined(separator: ", "))"]
        let pending = names("needs_restart")
        if !pending.isEmpty { lines.append("needs a restart: \(pending.joined(separator: ", "))") }
        return lines.joined(separator: "\n")
    }
}
