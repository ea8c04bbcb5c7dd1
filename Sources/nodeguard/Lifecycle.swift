/// Stands in until the daemon's own life cycle is there.
enum Lifecycle {
    static func run(configuration: NodeConfiguration, configurationPath: String) async throws {
        throw VerbFailure(.failed, "this build has no daemon")
    }
}
