/// A part of the configuration file as it was written: text, lists and mappings with their places, and nothing guessed.
struct ConfigurationNode {
    struct Entry {
        let key: String
        let position: Position
        let node: ConfigurationNode
    }

    indirect enum Content {
        case text(String)
        case list([ConfigurationNode])
        case mapping([Entry])
    }

    let position: Position
    let content: Content

    /// As mistakes call it.
    var kind: String {
        switch content {
        case .text(let text): text.isEmpty ? "nothing" : "the text '\(text)'"
        case .list: "a list"
        case .mapping: "a section"
        }
    }
}
