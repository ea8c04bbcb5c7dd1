import ArgumentParser

struct HoldKeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold-keys", abstract: "Hold the token of keys open; the plane and its verbs start this.",
        shouldDisplay: false)

    func run() throws { TokenServer.run() }
}
