import ArgumentParser

/// The configuration file.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check, show or begin a configuration.",
        subcommands: [Check.self, Show.self, Example.self])

    struct Check: Verb {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Report every mistake at once, each with its place.")

        @OptionGroup var location: ConfigurationOption

        func perform() async throws(VerbFailure) -> VerbStatus {
            let read = try location.read()
            if let error = read.places.error(read.fileMistakes + read.certificateMistakes) {
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
}
