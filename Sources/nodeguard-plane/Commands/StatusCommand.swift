import ArgumentParser
import FoundationEssentials

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say where the keys are, whether their token can be used, what the plane has and what ends when.",
        discussion: """
            Exit status 1 if something wants an operator: the token, an authority whose end is near, or what only an \
            offline root can sign anew.
            """)

    @Flag(help: "As JSON.") var json = false
    @OptionGroup var state: StateOption

    func run() throws {
        let state = try state.open()
        let status = try PlaneStatus(state, now: UnixTime.now)
        if json { try JSONOutput.print(status) } else { print(status.text) }
        if !status.concerns.isEmpty { throw ExitCode(1) }
    }
}

/// The plane at one moment, for people and programs.
struct PlaneStatus: Encodable {
    struct Token: Encodable {
        let uri: String
        /// usable, or the fault
        let state: String
        let detail: String
    }

    struct Cluster: Encodable {
        let name: String
        let nodes: Int
    }

    let store: String
    /// Where nodes reach the plane that runs, or ran last.
    let url: String?
    /// files, token, or both
    let summary: String
    let token: Token?
    let keys: [KeyInventory.Key]
    let clusters: [Cluster]
    /// Of the newest rotation; none if there was none.
    let rotation: String
    /// Where keys are that can be copied.
    let notes: [String]
    /// What wants an operator.
    let concerns: [String]

    private enum CodingKeys: String, CodingKey {
        case store, url, token, keys, clusters, rotation, notes, concerns
        case summary = "keys_in"
    }

    /// A third of an intermediate's and a sixth of a root's life: a change of root takes its time.
    static let nearEnd: Int64 = 600 * 86_400

    init(_ state: PlaneState, now: Int64) throws {
        let inventory = try KeyInventory(state)
        (summary, keys) = (inventory.summary, inventory.keys)
        store = try PostgresAddress.named(in: state.directory)?.description ?? state.directory + "/plane.sqlite"
        token = Self.token(of: state)
        let found = try state.database.read { database in
            (
                try PlaneState.setting(PlaneState.urlSetting, database).map { String(decoding: $0, as: UTF8.self) },
                try Rotation.newest(database)?.machine.phase?.rawValue ?? "none",
                try Row.fetchAll(
                    database,
                    sql: """
                        SELECT name, (SELECT count(*) FROM nodes WHERE cluster = clusters.name) AS nodes
                        FROM clusters ORDER BY name
                        """
                ).map { Cluster(name: $0["name"], nodes: $0["nodes"]) },
                try AuthoritiesInForce(database),
                try RootConcerns(state, AuthoritiesInForce(database), now: now, database)
            )
        }
        (url, rotation, clusters) = (found.0, found.1, found.2)
        notes = inventory.warnings + found.4.notes
        var concerns: [String] = []
        if let token, token.state != "usable" { concerns.append("the token is \(token.state): \(token.detail)") }
        let names = found.2.map(\.name)
        for record in found.3.roots + names.flatMap({ found.3.intermediates(of: $0) })
        where record.revokedAt == nil && record.certificate.notAfterSeconds - now < Self.nearEnd {
            let whose = record.cluster.map { "the authority of \($0)" } ?? "the root"
            let end = UnixTime.text(record.certificate.notAfterSeconds)
            concerns.append("\(whose) ends at \(end): change it with `rotate-ca start`")
        }
        self.concerns = concerns + found.4.concerns
    }

    /// It is opened for this, unless its PIN was refused.
    private static func token(of state: PlaneState) -> Token? {
        guard let token = state.keys.token else { return nil }
        do {
            try state.requireToken()
            return Token(uri: token.address.text, state: "usable", detail: "")
        } catch let problem as TokenProblem {
            return Token(
                uri: token.address.text, state: problem.fault?.rawValue ?? "refusing", detail: problem.text)
        } catch {
            return Token(uri: token.address.text, state: "incomplete", detail: "\(error)")
        }
    }

    var text: String {
        var lines = ["store: \(store)", "keys: \(summary)"]
        if let token { lines.append("token: \(token.uri), \(token.state)") }
        if let url { lines.append("address: \(url)") }
        lines.append("change of root: \(rotation)")
        lines.append("clusters: \(clusters.count), nodes: \(clusters.reduce(0) { $0 + $1.nodes })")
        lines += concerns.map { "concern: \($0)" } + notes.map { "note: \($0)" }
        var table = TextTable(["KEY", "CLUSTER", "IN", "NAME", "UNTIL"])
        for key in keys { table.add([key.use, key.cluster ?? "-", key.place, key.name, key.until ?? "-"]) }
        return (lines + [table.description]).joined(separator: "\n")
    }
}
