/// Where values stand in a configuration file, for mistakes that come to light only when a file, a socket's folder or a
/// group that it names is looked at.
struct ConfigurationPlaces: Sendable, Equatable {
    struct Value: Hashable {
        /// With places in lists: `proxy.listeners[0].trust`.
        let key: String
        let text: String
    }

    let path: String
    private let positions: [Value: Position]

    init(path: String, _ positions: [Value: Position]) {
        self.path = path
        self.positions = positions
    }

    /// Where it stands makes no configuration another.
    static func == (one: ConfigurationPlaces, other: ConfigurationPlaces) -> Bool { true }

    /// One mistake for each line of the text.
    func mistakes(_ text: String, at key: String, _ value: String) -> [ConfigurationMistake] {
        let position = positions[Value(key: key, text: value)] ?? .start
        return text.split(separator: "\n").map { ConfigurationMistake(position: position, text: String($0)) }
    }

    /// nil: there is none.
    func error(_ mistakes: [ConfigurationMistake]) -> ConfigurationError? {
        if mistakes.isEmpty { return nil }
        return ConfigurationError(path: path, mistakes: mistakes.sorted { $0.position < $1.position })
    }
}
