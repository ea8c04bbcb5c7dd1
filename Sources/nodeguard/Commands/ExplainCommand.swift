import ArgumentParser
import IO
import OpenSSL
import Proxy
import Reports

/// Which rule of a listener decides about a certificate, and why, without a connection.
struct ExplainCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say which rule of a listener allows or refuses a client certificate, and why.",
        discussion: """
            The rules of the configuration file are asked, not those that the daemon may still have, as the applied \
            desired state narrows them; and whether the certificate is trusted now. Exit status 0 if it would be let \
            in, 4 if not.
            """)

    @OptionGroup var location: ConfigurationOption
    @OptionGroup var form: JSONFlag
    @Option(name: .long, help: ArgumentHelp("The name of a listener.", valueName: "name"))
    var listener: String
    @Option(
        name: .long,
        help: ArgumentHelp("A PEM file: the client's certificate first, then its chain.", valueName: "file"))
    var certificate: String
    @Option(name: .long, help: ArgumentHelp("The database user that it asks for.", valueName: "name"))
    var user: String?
    @Option(
        name: .long,
        help: ArgumentHelp("The database that it asks for; without it, one named as the user.", valueName: "name"))
    var database: String?
    @Flag(name: .long, help: "It asks for replication: with --database logical, without it physical.")
    var replication = false

    private static let sizeLimit = 1 << 20

    func perform() async throws(VerbFailure) -> VerbStatus {
        let configuration = try location.read()
        guard let section = configuration.proxy.listeners.first(where: { $0.name == listener }) else {
            let known = configuration.proxy.listeners.map(\.name).joined(separator: ", ")
            throw VerbFailure(.usage, "there is no listener '\(listener.printable)'; there are: \(known)")
        }
        let policy: AccessPolicy
        let desired = DesiredAtStart(
            configuration, cluster: Node.cluster(configuration) ?? "", isForOthers: true
        ).overlay
        do throws(ConfigurationFileError) {
            policy = try section.policy().narrowed(by: desired.narrowings[section.name] ?? PolicyNarrowing())
        } catch {
            throw VerbFailure(.configuration, error.description)
        }
        let chain: [Certificate]
        do {
            chain = try Certificate.parsePEM(try Files.read(certificate, limit: Self.sizeLimit))
        } catch { throw VerbFailure(.usage, "\(certificate.printable): \(error)") }
        guard let leaf = chain.first, let explanation = policy.explain(chain, session: session(section)) else {
            throw VerbFailure(.usage, "\(certificate.printable): there is no certificate in it")
        }
        var denied = desired.denied.denial(of: chain)
        do {
            for path in section.denyLists(configuration.proxy.defaults) where denied == nil {
                denied = try DenyList(path: path).denial(of: chain)
            }
        } catch { throw VerbFailure(.configuration, "\(error)") }
        let answer = ExplainedPeer(
            listener: section, leaf: leaf, explanation: explanation, denied: denied,
            trust: ExplainedTrust(section, state: configuration.node.state).verdict(
                on: chain, at: Timestamp.now.seconds))
        Console.say(form.json ? answer.document.text : answer.text)
        return answer.isLetIn ? .ready : .notAllowed
    }

    private func session(_ section: ListenerSection) -> SessionRequest? {
        guard section.databaseProtocol == .postgres else { return nil }
        return SessionRequest(user: user, database: database, isReplication: replication)
    }
}

/// What `nodeguard explain` answers.
struct ExplainedPeer {
    let listener: ListenerSection
    let leaf: Certificate
    let explanation: PolicyExplanation
    /// The entry of a deny list.
    let denied: String?
    let trust: ExplainedTrust.Verdict

    var isLetIn: Bool {
        if isStopped { return false }
        return explanation.objection == nil || listener.mode == .dryRun
    }

    /// Before any rule is asked.
    private var isStopped: Bool {
        if case .refused = trust { return true }
        return denied != nil
    }

    var document: JSONValue {
        [
            "listener": .string(listener.name), "mode": .string(listener.mode.rawValue),
            "subject": .string(leaf.subject), "serial": .string(leaf.serial),
            "let_in": .boolean(isLetIn), "allowed": .boolean(explanation.objection == nil),
            "rule": explanation.rule.map { .string($0) } ?? .null, "reason": reason.map { .string($0) } ?? .null,
            "mapped": explanation.isMapped.map { .boolean($0) } ?? .null, "trust": trust.document,
            "denied": denied.map { .string($0) } ?? .null,
            "rules": .array(
                explanation.lines.map { line in
                    [
                        "rule": .string(line.rule), "terms": .string(line.terms),
                        "matches": .boolean(line.mismatch == nil), "decides": .boolean(line.decides),
                        "mismatch": line.mismatch.map { .string($0.description) } ?? .null,
                    ]
                }),
        ]
    }

    var text: String {
        var lines = ["\(listener.name): \(verdict)".printable]
        lines.append("  subject  \(leaf.subject.printable)")
        lines.append("  issuer   \(leaf.issuer.printable)")
        lines.append("  serial   \(leaf.serial)")
        let names =
            leaf.uris.map { "URI " + $0 } + leaf.dnsNames.map { "DNS " + $0 } + leaf.emails.map { "email " + $0 }
        for name in names { lines.append("  name     \(name.printable)") }
        lines.append("  trust    \(trust.text.printable)")
        for line in explanation.lines {
            let decides = isStopped ? "matches, and would decide" : "matches, and decides"
            let words = line.mismatch.map { "no: \($0)" } ?? (line.decides ? decides : "matches")
            lines.append("  \(line.rule) {\(line.terms)}".printable)
            lines.append("           \(words.printable)")
        }
        if let isMapped = explanation.isMapped {
            lines.append("  database-user-map: \(isMapped ? "has" : "does not have") the certificate with this user")
        }
        return lines.joined(separator: "\n")
    }

    private var verdict: String {
        if case .refused = trust { return "refused: the certificate is not trusted" }
        if let denied { return "denied by a deny list: \(denied)" }
        guard let reason else { return "allowed by \(explanation.rule ?? "")" }
        return listener.mode == .dryRun ? "let through, for the mode is dry-run; else \(reason)" : reason
    }

    private var reason: String? {
        switch explanation.objection {
        case nil: nil
        case .denied(let rule): "denied by \(rule)"
        case .noRule where listener.allow.isEmpty:
            "refused: the listener has no rule under 'allow', so nobody may use it"
        case .noRule where listener.allow.count == 1: "refused: the only rule under 'allow' does not name it"
        case .noRule: "refused: none of the \(listener.allow.count) rules under 'allow' names it"
        case .narrowed: "refused: the rules under 'allow' name it, and the desired state of the plane does not"
        case .user where explanation.isMapped == false: "refused: 'database-user-map' has no line for it"
        case .user: "refused: its certificate may not have this database user (--user)"
        case .database: "refused: its certificate may not use this database (--database)"
        case .replication: "refused: no rule that names it says 'replication: yes'"
        }
    }
}
