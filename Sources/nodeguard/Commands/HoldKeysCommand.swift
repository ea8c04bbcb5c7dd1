import ArgumentParser
import OpenSSL
import Tokens

/// The process that has a token open for the daemon, which starts it.
struct HoldKeysCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "hold-keys",
        abstract: "Hold a token of keys open for the daemon, which starts this by itself.", shouldDisplay: false)

    func perform() async throws(VerbFailure) -> VerbStatus {
        ProcessHardening.apply()
        TokenServer.run()
        return .ready
    }
}
