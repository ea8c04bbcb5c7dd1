/// What comes to light while one file is read: its mistakes, and which keys this version knows and the file has.
/// Belongs to one reading, on one thread.
final class ConfigurationReading {
    private var found: Set<ConfigurationMistake> = []
    /// Paths such as `proxy.listeners[].name`, of all sections that were read.
    private(set) var knownKeys: Set<String> = []
    private(set) var presentKeys: Set<String> = []
    private(set) var places: [ConfigurationPlaces.Value: Position] = [:]

    var mistakes: [ConfigurationMistake] {
        found.sorted { $0.position != $1.position ? $0.position < $1.position : $0.text < $1.text }
    }

    func add(_ text: String, at position: Position) {
        found.insert(ConfigurationMistake(position: position, text: text))
    }

    func know(_ key: String) { knownKeys.insert(key) }
    func see(_ key: String) { presentKeys.insert(key) }

    /// `key`: with places in lists.
    func locate(_ text: String, of key: String, at position: Position) {
        places[ConfigurationPlaces.Value(key: key, text: text)] = position
    }
}
