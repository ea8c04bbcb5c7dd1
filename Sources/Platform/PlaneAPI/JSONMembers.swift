/// The members of one JSON object while they are read: each that is asked for is known, and what is left at the end is
/// a mistake.
struct JSONMembers {
    let offset: Int
    private let path: String
    private var rest: [String: JSONNode]
    private var asked: [String] = []

    /// `path`: for people, such as `listeners.ysql`; empty for the document.
    init(_ node: JSONNode, path: String) throws(JSONFlaw) {
        guard case .object(let members) = node.content else {
            throw JSONFlaw("\(Self.shown(path)) must be an object", at: node.offset)
        }
        self.path = path
        offset = node.offset
        rest = Dictionary(uniqueKeysWithValues: members.map { ($0.name, $0.value) })
    }

    mutating func take(_ name: String) -> JSONNode? {
        asked.append(name)
        return rest.removeValue(forKey: name)
    }

    func full(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    func end() throws(JSONFlaw) {
        guard let (name, node) = rest.min(by: { $0.value.offset < $1.value.offset }) else { return }
        throw JSONFlaw(
            "unknown member '\(full(String(name.prefix(64))))'; known here: \(asked.joined(separator: ", "))",
            at: node.offset)
    }

    mutating func text(_ name: String, limit: Int = DesiredState.textLimit) throws(JSONFlaw) -> String? {
        guard let node = take(name) else { return nil }
        return try node.text(full(name), limit: limit)
    }

    mutating func required(_ name: String) throws(JSONFlaw) -> String {
        guard let text = try text(name) else { throw JSONFlaw("'\(full(name))' is missing", at: offset) }
        return text
    }

    mutating func integer(_ name: String) throws(JSONFlaw) -> Int64 {
        guard let node = take(name) else { throw JSONFlaw("'\(full(name))' is missing", at: offset) }
        guard case .integer(let number) = node.content else {
            throw JSONFlaw("'\(full(name))' must be a whole number", at: node.offset)
        }
        return number
    }

    /// A list of texts; one text alone is a list of one.
    mutating func texts(_ name: String) throws(JSONFlaw) -> [String]? {
        guard let node = take(name) else { return nil }
        if case .text = node.content { return [try node.text(full(name))] }
        var texts: [String] = []
        for item in try node.items(full(name)) { texts.append(try item.text("a value of \(full(name))")) }
        return texts
    }

    /// Objects with names of the operator's own.
    mutating func named(_ name: String) throws(JSONFlaw) -> [(name: String, value: JSONNode)] {
        guard let node = take(name) else { return [] }
        guard case .object(let members) = node.content else {
            throw JSONFlaw("'\(full(name))' must be an object", at: node.offset)
        }
        guard members.count <= DesiredState.listLimit else {
            throw JSONFlaw("'\(full(name))' has more than \(DesiredState.listLimit) members", at: node.offset)
        }
        for (member, value) in members where !Name.isValid(member) {
            throw JSONFlaw("'\(member.prefix(64))' of '\(full(name))' is no name", at: value.offset)
        }
        return members
    }

    mutating func items(_ name: String, limit: Int = DesiredState.listLimit) throws(JSONFlaw) -> [JSONNode]? {
        guard let node = take(name) else { return nil }
        return try node.items(full(name), limit: limit)
    }

    static func shown(_ path: String) -> String { path.isEmpty ? "the document" : "'\(path)'" }
}

extension JSONNode {
    private static let unwanted: [Unicode.GeneralCategory] = [.control, .lineSeparator, .paragraphSeparator]

    /// Without what could begin a line of its own where the text is shown.
    func text(_ path: String, limit: Int = DesiredState.textLimit) throws(JSONFlaw) -> String {
        guard case .text(let text) = content else { throw JSONFlaw("'\(path)' must be a text", at: offset) }
        guard (1...limit).contains(text.utf8.count),
            text.unicodeScalars.allSatisfy({ !Self.unwanted.contains($0.properties.generalCategory) })
        else { throw JSONFlaw("'\(path)' has 1 to \(limit) bytes and no control characters", at: offset) }
        return text
    }

    func items(_ path: String, limit: Int = DesiredState.listLimit) throws(JSONFlaw) -> [JSONNode] {
        guard case .list(let items) = content else { throw JSONFlaw("'\(path)' must be a list", at: offset) }
        guard items.count <= limit else { throw JSONFlaw("'\(path)' has more than \(limit) values", at: offset) }
        return items
    }
}
