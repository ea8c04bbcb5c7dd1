import ArgumentParser

/// The configuration file.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check, show or begin a configuration.",
        subcommands: [Check.self, Show.self, Example.self, SocketUnit.self, PublishUnit.self])

    struct Check: Verb {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Report every mistake at once, each with its place.")

        @OptionGroup var location: ConfigurationOption

        func perform() async throws(VerbFailure) -> VerbStatus {
            let read = try location.read()
            let mistakes = read.fileMistakes + read.certificateMistakes + read.publicationMistakes
            if let error = read.places.error(mistakes + read.expiryMistakes) {
                throw VerbFailure(.configuration, error.description)
            }
            Console.say("\(location.config): no mistake")
            return .ready
        }
    }

    struct Show: Verb {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print the effective configuration, every default written out.")

        @OptionGroup var location: ConfigurationOption

        func perform() async throws(VerbFailure) -> VerbStatus {
            Console.say(ConfigurationText.of(try location.read()))
            return .ready
        }
    }

    struct Example: Verb {
        static let configuration = CommandConfiguration(
            commandName: "example", abstract: "Print an annotated example with every key.")

        @OptionGroup var location: ConfigurationOption

        func perform() async throws(VerbFailure) -> VerbStatus {
            Console.say(ConfigurationExample.text)
            return .ready
        }
    }

    struct SocketUnit: Verb {
        static let configuration = CommandConfiguration(
            commandName: "socket-unit",
            abstract: "Print a unit with which systemd itself opens the ports of a listener or a tunnel.")

        @OptionGroup var location: ConfigurationOption
        @Argument(help: "The name of a listener or a tunnel.") var listener: String

        func perform() async throws(VerbFailure) -> VerbStatus {
            let proxy = try location.read().proxy
            let units =
                proxy.listeners.map { ListenerSocketUnit(name: $0.name, addresses: $0.listen) }
                + proxy.tunnels.map { ListenerSocketUnit($0) }
            guard let unit = units.first(where: { $0.name == listener }) else {
                let names = units.map(\.name).joined(separator: ", ")
                throw VerbFailure(.usage, "there is no listener \(listener); the configuration has: \(names)")
            }
            Console.say(unit.text)
            return .ready
        }
    }
    struct PublishUnit: Verb {
        static let configuration = CommandConfiguration(
            commandName: "publish-unit",
            abstract: "Print what nodeguard-publish.service needs to write into the folders of roles with 'publish'.")

        @OptionGroup var location: ConfigurationOption

        func perform() async throws(VerbFailure) -> VerbStatus {
            let configuration = try location.read()
            let unit = PublishUnitDropIn(configuration, path: location.config)
            guard !unit.isEmpty else {
                throw VerbFailure(.usage, "no role of \(location.config) is published by the unit")
            }
            Console.say(unit.text)
            return .ready
        }
    }
}
