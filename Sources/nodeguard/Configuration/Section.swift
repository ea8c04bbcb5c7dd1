/// One mapping of the configuration while it is read. Each key that is asked for is a known key; what is left when the
/// section ends is a mistake, with the nearest known key.
final class Section {
    let position: Position
    private let path: String
    /// The same, with places in lists: `proxy.listeners[0]`.
    private let place: String
    private let entries: [ConfigurationNode.Entry]
    private let reading: ConfigurationReading
    private var asked: [String] = []
    private var later: [String] = []
    private var missing: [String] = []

    init(_ node: ConfigurationNode, path: String, place: String? = nil, _ reading: ConfigurationReading) {
        position = node.position
        self.path = path
        self.place = place ?? path
        self.reading = reading
        if case .mapping(let entries) = node.content { self.entries = entries } else { entries = [] }
        for entry in entries { reading.see(full(entry.key)) }
    }

    /// A value with its place, for checks that need two values.
    struct Located<Value> {
        let value: Value
        let position: Position
    }

    // MARK: asking

    func located<Value>(_ key: String, _ form: Form<Value>, isRequired: Bool = false) -> Located<Value>? {
        guard let entry = entry(key) else {
            if isRequired { missing.append(key) }
            return nil
        }
        return scalar(entry.node, form, key, "'\(key)'")
    }

    func value<Value>(_ key: String, _ form: Form<Value>, isRequired: Bool = false) -> Value? {
        located(key, form, isRequired: isRequired)?.value
    }

    /// A list of scalars; one scalar alone is a list of one.
    func list<Value>(_ key: String, _ form: Form<Value>, isRequired: Bool = false) -> [Located<Value>]? {
        guard let entry = entry(key) else {
            if isRequired { missing.append(key) }
            return nil
        }
        switch entry.node.content {
        case .text: return scalar(entry.node, form, key, "'\(key)'").map { [$0] }
        case .list(let items):
            if items.isEmpty, isRequired { reading.add("'\(key)' needs at least one value", at: entry.node.position) }
            guard isBounded(items, key) else { return nil }
            return items.compactMap { scalar($0, form, key, "a value of '\(key)'") }
        case .mapping:
            reading.add("'\(key)' must be a list, not a section", at: entry.node.position)
            return nil
        }
    }

    func section<Value>(_ key: String, _ body: (Section) -> Value?) -> Value? {
        guard let entry = entry(key) else { return nil }
        guard case .mapping = entry.node.content else {
            reading.add("'\(key)' must be a section, not \(entry.node.kind)", at: entry.node.position)
            return nil
        }
        return read(entry.node, full(key), full(key, in: place), body)
    }

    /// A list of sections.
    func sections<Value>(_ key: String, _ body: (Section) -> Value?) -> [Value] {
        guard let entry = entry(key) else { return [] }
        guard case .list(let items) = entry.node.content else {
            reading.add("'\(key)' must be a list of sections, not \(entry.node.kind)", at: entry.node.position)
            return []
        }
        guard isBounded(items, key) else { return [] }
        return items.enumerated().compactMap { index, item in
            guard case .mapping = item.content else {
                reading.add("each of '\(key)' must be a section, not \(item.kind)", at: item.position)
                return nil
            }
            return read(item, full(key) + "[]", full(key, in: place) + "[\(index)]", body)
        }
    }

    /// Keys that a later version will know.
    func refuse(_ keys: String...) { later += keys }

    var isEmpty: Bool { entries.isEmpty }
    func has(_ key: String) -> Bool { entries.contains { $0.key == key } }

    /// Where a key's value stands, or the section if the key is not there.
    func place(of key: String) -> Position { entries.first { $0.key == key }?.node.position ?? position }

    func add(_ text: String, at position: Position) { reading.add(text, at: position) }

    // MARK: answering

    static let itemLimit = 1024

    private func full(_ key: String) -> String { full(key, in: path) }

    private func full(_ key: String, in path: String) -> String { path.isEmpty ? key : path + "." + key }

    private func entry(_ key: String) -> ConfigurationNode.Entry? {
        asked.append(key)
        reading.know(full(key))
        return entries.first { $0.key == key }
    }

    private func scalar<Value>(
        _ node: ConfigurationNode, _ form: Form<Value>, _ key: String, _ what: String
    ) -> Located<Value>? {
        guard case .text(let text) = node.content else {
            reading.add("\(what) must be one value, not \(node.kind)", at: node.position)
            return nil
        }
        do throws(Flaw) {
            if text.isEmpty { throw Flaw("\(what) has no value") }
            reading.locate(text, of: full(key, in: place), at: node.position)
            return Located(value: try form.read(text), position: node.position)
        } catch {
            reading.add(error.text, at: node.position)
            return nil
        }
    }

    private func isBounded(_ items: [ConfigurationNode], _ key: String) -> Bool {
        if items.count <= Self.itemLimit { return true }
        reading.add("'\(key)' has more than \(Self.itemLimit) values", at: items[Self.itemLimit].position)
        return false
    }

    private func read<Value>(
        _ node: ConfigurationNode, _ path: String, _ place: String, _ body: (Section) -> Value?
    ) -> Value? {
        let section = Section(node, path: path, place: place, reading)
        defer { section.end() }
        return body(section)
    }

    /// Reports what nobody asked for. A required key that was only misspelt is not reported twice.
    func end() {
        var meant: Set<String> = []
        for entry in entries where !asked.contains(entry.key) {
            if later.contains(entry.key) {
                reading.add("'\(entry.key)' is not supported by this version", at: entry.position)
                continue
            }
            let nearest = Suggestion.nearest(to: entry.key, among: asked.filter { !has($0) })
            if let nearest { meant.insert(nearest) }
            let hint = nearest.map { "; did you mean '\($0)'?" } ?? "; known here: " + Self.listed(asked)
            reading.add("unknown key '\(entry.key)'\(hint)", at: entry.position)
        }
        for key in missing where !meant.contains(key) {
            reading.add("'\(key)' is missing", at: position)
        }
    }

    private static func listed(_ keys: [String]) -> String { keys.isEmpty ? "none" : keys.joined(separator: ", ") }
}
