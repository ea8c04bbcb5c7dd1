import ArgumentParser
import IO
import OpenSSL
import Proxy
import Reports

/// Which rule of a listener decides about a certificate, without a connection.
struct ExplainCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say which rule of a listener allows or refuses a client certificate, and why.",
        discussion: """
            The rules of the configuration file are asked, not those that the daemon may still have. Whether the \
            certificate is trusted is another question, which a handshake answers. Exit status 0 if it is allowed, \
            4 if it is not.
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

    private static let sizeLimit = 1 << 20

    func perform() async throws(VerbFailure) -> VerbStatus {
        let listeners = try location.read().proxy.listeners
        guard let section = listeners.first(where: { $0.name == listener }) else {
            let known = listeners.map(\.name).joined(separator: ", ")
            throw VerbFailure(.usage, "there is no listener '\(listener.printable)'; there are: \(known)")
        }
        let chain: [Certificate]
        do {
            chain = try Certificate.parsePEM(try Files.read(certificate, limit: Self.sizeLimit))
        } catch { throw VerbFailure(.usage, "\(certificate.printable): \(error)") }
        guard let leaf = chain.first else {
            throw VerbFailure(.usage, "\(certificate.printable): there is no certificate in it")
        }
        let verdict = section.policy.explain(chain, user: user)
        Console.say(form.json ? Self.document(leaf, verdict, listener).text : text(leaf, verdict, section))
        return verdict.isAllowed ? .ready : .notAllowed
    }

    private static func document(
        _ leaf: Certificate, _ verdict: (isAllowed: Bool, rule: String?), _ listener: String
    ) -> JSONValue {
        [
            "listener": .string(listener), "subject": .string(leaf.subject), "serial": .string(leaf.serial),
            "allowed": .boolean(verdict.isAllowed), "rule": verdict.rule.map { .string($0) } ?? .null,
        ]
    }

    private func text(
        _ leaf: Certificate, _ verdict: (isAllowed: Bool, rule: String?), _ section: ListenerSection
    ) -> String {
        let reason =
            switch (verdict.isAllowed, verdict.rule) {
            case (true, let rule?): "allowed by the rule {\(rule)}"
            case (false, let rule?): "denied by the rule {\(rule)}"
            default:
                section.allow.isEmpty
                    ? "refused: the listener has no rule under 'allow', so nobody may use it"
                    : "refused: none of the \(section.allow.count) rules under 'allow' names it"
            }
        var lines = ["\(listener.printable): \(reason)"]
        lines.append("  subject  \(leaf.subject.printable)")
        lines.append("  issuer   \(leaf.issuer.printable), serial \(leaf.serial)")
        let names =
            leaf.uris.map { "URI " + $0 } + leaf.dnsNames.map { "DNS " + $0 } + leaf.emails.map { "email " + $0 }
        for name in names { lines.append("  name     \(name.printable)") }
        return lines.joined(separator: "\n")
    }
}
