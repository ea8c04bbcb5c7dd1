import Yams

/// Turns YAML text into `ConfigurationNode`s. Of YAML it takes mappings, lists and scalars; anchors, aliases and tags
/// are mistakes, and no scalar is ever more than text (`off`, `12:34` and `0A` stay what they are).
struct ConfigurationDocument {
    static let depthLimit = 32
    private static let duplicateLimit = 256

    private let reading: ConfigurationReading
    private var source: YAMLSource

    /// nil when nothing can be made of the text; `reading` then has the reason.
    static func parse(_ text: String, _ reading: ConfigurationReading) -> ConfigurationNode? {
        if let place = YAMLSource.foreignLineBreak(in: text) {
            reading.add("a line may end with a newline only", at: place)
            return nil
        }
        var document = ConfigurationDocument(reading: reading, source: YAMLSource(text))
        guard let root = document.compose() else { return nil }
        return document.node(root, depth: 0)
    }

    /// A key that is there twice ends Yams' work, so the earlier one is renamed and the text read again: the mistakes
    /// after it come to light too.
    private mutating func compose() -> Yams.Node? {
        for _ in 0..<Self.duplicateLimit {
            do {
                let root = try Yams.compose(yaml: source.text, .basic, .default, .utf8)
                if root == nil { reading.add("the configuration is empty", at: .start) }
                return root
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                let place = Position(context.mark)
                guard source.rename(keys, at: place) else {
                    reading.add("a key is there twice: \(keys.joined(separator: ", "))", at: place)
                    return nil
                }
            } catch {
                let (text, place) = Self.explain(error, in: source)
                reading.add(text, at: place)
                return nil
            }
        }
        reading.add("more than \(Self.duplicateLimit) keys are there twice", at: .start)
        return nil
    }

    private func node(_ node: Yams.Node, depth: Int) -> ConfigurationNode {
        let position = node.mark.map { Position($0) } ?? .start
        guard depth < Self.depthLimit else {
            reading.add("nested more than \(Self.depthLimit) levels deep", at: position)
            return ConfigurationNode(position: position, content: .text(""))
        }
        refuseProperties(at: position)
        switch node {
        case .scalar(let scalar): return ConfigurationNode(position: position, content: .text(scalar.string))
        case .sequence(let items):
            return ConfigurationNode(
                position: position, content: .list(items.map { self.node($0, depth: depth + 1) }))
        case .mapping(let pairs):
            return ConfigurationNode(
                position: position,
                content: .mapping(entries(pairs.map { ($0.key, $0.value) }, depth: depth + 1)))
        case .alias:
            reading.add("aliases are not allowed: write the value out", at: position)
            return ConfigurationNode(position: position, content: .text(""))
        }
    }

    private func entries(_ pairs: [(Yams.Node, Yams.Node)], depth: Int) -> [ConfigurationNode.Entry] {
        var entries: [ConfigurationNode.Entry] = []
        var first: [String: Position] = [:]
        for (key, value) in pairs {
            let position = key.mark.map { Position($0) } ?? .start
            refuseProperties(at: position)
            guard case .scalar(let scalar) = key else {
                reading.add("a key must be text", at: position)
                continue
            }
            let name = source.original(of: scalar.string)
            if let earlier = first[name] {
                reading.add("the key '\(name)' is there already, in line \(earlier.line)", at: position)
                _ = node(value, depth: depth)
                continue
            }
            first[name] = position
            entries.append(
                ConfigurationNode.Entry(key: name, position: position, node: node(value, depth: depth)))
        }
        return entries
    }

    /// A node's place is that of its tag or anchor if it has one; Yams tells `!!str` from a plain scalar no other way.
    private func refuseProperties(at position: Position) {
        switch source.scalar(at: position) {
        case "!": reading.add("tags are not allowed: every value is read as text", at: position)
        case "&": reading.add("anchors and aliases are not allowed: write the value out", at: position)
        default: break
        }
    }

    private static func explain(_ error: any Error, in source: YAMLSource) -> (String, Position) {
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _),
            YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let about = context.map { "\($0.text.trimmed) in line \($0.mark.line): " } ?? ""
            return ("this is not YAML: \(about)\(problem)", Position(mark))
        case YamlError.reader(let problem, let offset, _, _):
            return ("this is not YAML: \(problem)", source.position(ofByte: offset ?? 0))
        default: return ("this is not YAML: \(error)", .start)
        }
    }
}

extension Position {
    fileprivate init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}

extension String {
    fileprivate var trimmed: Substring { self[...].trimmingPrefix(while: \.isWhitespace) }
}
