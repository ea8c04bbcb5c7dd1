import ArgumentParser
import FoundationEssentials

struct JournalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal", abstract: "What the plane granted and refused lately, from its own audit log.")

    @Option(name: .short, help: "How many entries.") var n = 20
    @Flag(help: "As JSON, one entry a line.") var json = false
    @OptionGroup var state: StateOption

    struct Line: Encodable {
        let at: String?
        let by: String?
        let cluster: String?
        let node: String?
        let action: String?
        let outcome: String?
        let reason: String?
        let count: Int64?
        let detail: String?

        init(_ event: CanonicalJSON) {
            let fields = event["fields"]
            at = event["time"]?.text
            by = fields?["operator"]?.text ?? fields?["by"]?.text
            cluster = fields?["cluster"]?.text
            node = fields?["node"]?.text
            action = event["name"]?.text
            outcome = event["outcome"]?.text
            reason = fields?["reason"]?.text
            count = fields?["count"]?.integer
            detail = fields?["detail"]?.text
        }
    }

    func run() throws {
        let events = try state.open().database.read { try PlaneLog.last(max(1, min(n, 10_000)), $0) }
        for event in events {
            let line = Line(try CanonicalJSON(event))
            if json {
                try JSONOutput.print(line)
            } else {
                let times = line.count.map { "\($0) times" }
                let words = [line.at, line.outcome, line.action, line.reason, times, line.by, line.node, line.detail]
                print(words.compactMap { $0 }.joined(separator: "  ").map { $0.isNewline ? " " : String($0) }.joined())
            }
        }
    }
}
