import ArgumentParser

/// The daemon itself.
struct RunCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the daemon; it ends on SIGTERM after its connections had time to end.")

    @OptionGroup var location: ConfigurationOption

    func perform() async throws(VerbFailure) -> VerbStatus {
        let configuration = try location.read()
        do {
            try await Lifecycle.run(configuration: configuration, configurationPath: location.config)
            return .ready
        } catch let failure as VerbFailure {
            throw failure
        } catch {
            throw VerbFailure(.failed, "nodeguard ended: \(error)")
        }
    }
}
