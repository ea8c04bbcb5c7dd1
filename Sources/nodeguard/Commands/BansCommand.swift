import ArgumentParser
import IO
import Proxy
import Reports
import Status

/// Addresses that the proxy refuses for a while.
struct BansCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bans", abstract: "List the addresses that are refused for a while, or let them in again.",
        subcommands: [List.self, Lift.self], defaultSubcommand: List.self)

    struct List: Verb {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the addresses that are refused for a while.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @Flag(name: .long, help: "Print commands for nft(8), by which the kernel keeps them out.")
        var nft = false

        func validate() throws {
            if nft, form.json { throw ValidationError("Either --nft or --json.") }
        }

        func perform() async throws(VerbFailure) -> VerbStatus {
            let configuration = try location.read()
            let status = configuration.status
            let (body, document) = try await LocalQuestions(configuration: status).document(
                "/v1/bans", at: status.control)
            Console.say(
                nft ? Self.commands(document, configuration).text : form.json ? body : Self.text(document))
            return .ready
        }

        static func commands(
            _ document: JSONValue, _ configuration: NodeConfiguration
        ) -> PacketFilterCommands {
            let bans = (document["bans"]?.items ?? []).compactMap { ban -> (network: PeerNetwork, seconds: Int64)? in
                guard let network = ban["network"]?.string.flatMap({ PeerNetwork($0) }),
                    let seconds = ban["seconds_left"]?.number, seconds >= 1
                else { return nil }
                return (network, Int64(seconds))
            }.filter { ban in !configuration.proxy.spared.contains { $0.overlaps(ban.network) } }
            let ports = configuration.proxy.listeners.flatMap { $0.listen.compactMap(\.port) }
            return PacketFilterCommands(bans: bans, ports: ports)
        }

        static func text(_ document: JSONValue) -> String {
            let bans = document["bans"]?.items ?? []
            if bans.isEmpty { return "nobody is banned" }
            var table = TextTable(columns: [
                .init(title: "NETWORK"), .init(title: "LISTENER"), .init(title: "REASON"), .init(title: "SINCE"),
                .init(title: "LEFT", isNumber: true),
            ])
            table.rows = bans.map { ban in
                ["network", "listener", "reason", "since"].map { ban[$0]?.shown ?? "" }
                    + [ban["seconds_left"]?.number.map { Measures.span(Int64($0)) } ?? ""]
            }
            return table.lines(width: 160).joined(separator: "\n")
        }
    }

    struct Lift: Verb {
        static let configuration = CommandConfiguration(
            commandName: "lift", abstract: "Let an address, or all of a network, in again.")

        @OptionGroup var location: ConfigurationOption
        @OptionGroup var form: JSONFlag
        @Argument(help: "An address, or a network such as 203.0.113.0/24.")
        var network: String?
        @Flag(name: .long, help: "Let everybody in again.")
        var all = false

        func validate() throws {
            guard (network != nil) != all else {
                throw ValidationError("Name an address or a network, or say --all.")
            }
            if let network, PeerNetwork(network) == nil {
                throw ValidationError("'\(network.printable)' is neither an address nor a network.")
            }
        }

        func perform() async throws(VerbFailure) -> VerbStatus {
            let status = try location.read().status
            let path = network.flatMap { PeerNetwork($0) }.map { "/v1/bans/\($0)" } ?? "/v1/bans"
            let answer = try await LocalQuestions(configuration: status).ask("DELETE", path, at: status.control)
            let count = ReadJSON.parse(answer.body)?["lifted"]?.number ?? 0
            Console.say(form.json ? answer.text : "\(Int(count)) \(count == 1 ? "ban was" : "bans were") lifted")
            return .ready
        }
    }
}

extension ProxySection {
    /// Networks that the kernel must not keep out, whatever a neighbour or a client behind them has done: those that
    /// places are reserved for, and the proxies before listeners.
    var spared: [PeerNetwork] { limits.reserved.networks + listeners.flatMap(\.proxyProtocol.accepted) }
}
