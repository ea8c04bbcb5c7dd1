/// The text of a configuration file, looked at by place; and the renaming of keys that are there twice.
struct YAMLSource {
    private var lines: [[Unicode.Scalar]]
    /// What the placeholder scalars U+E000, U+E001, … stand for.
    private var renamed: [String] = []

    private static let firstPlaceholder: UInt32 = 0xE000

    init(_ text: String) {
        lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(Array.init)
    }

    var text: String {
        var scalars = String.UnicodeScalarView()
        for (index, line) in lines.enumerated() {
            if index > 0 { scalars.append("\n") }
            scalars.append(contentsOf: line)
        }
        return String(scalars)
    }

    func scalar(at position: Position) -> Unicode.Scalar? {
        guard lines.indices.contains(position.line - 1) else { return nil }
        let line = lines[position.line - 1]
        return line.indices.contains(position.column - 1) ? line[position.column - 1] : nil
    }

    func position(ofByte offset: Int) -> Position {
        var left = offset
        for (index, line) in lines.enumerated() {
            for (column, scalar) in line.enumerated() {
                if left < UTF8.width(scalar) { return Position(line: index + 1, column: column + 1) }
                left -= UTF8.width(scalar)
            }
            if left < 1 { return Position(line: index + 1, column: line.count + 1) }
            left -= 1
        }
        return Position(line: max(1, lines.count), column: 1)
    }

    /// Writes a placeholder of the same length over the key at this place, so that all other places stay. False if
    /// the key is not written there as it reads (escapes, several lines).
    mutating func rename(_ keys: [String], at position: Position) -> Bool {
        guard lines.indices.contains(position.line - 1), position.column >= 1 else { return false }
        var start = position.column - 1
        if let first = scalar(at: position), first == "\"" || first == "'" { start += 1 }
        let line = lines[position.line - 1]
        let written = keys.first { key in
            !key.isEmpty && start < line.count && line[start...].starts(with: key.unicodeScalars)
        }
        guard let key = written,
            let placeholder = Unicode.Scalar(Self.firstPlaceholder + UInt32(renamed.count))
        else { return false }
        let count = key.unicodeScalars.count
        lines[position.line - 1].replaceSubrange(
            start..<(start + count), with: repeatElement(placeholder, count: count))
        renamed.append(key)
        return true
    }

    /// What the file really has for this key.
    func original(of key: String) -> String {
        guard let first = key.unicodeScalars.first, first.value >= Self.firstPlaceholder else { return key }
        let index = Int(first.value - Self.firstPlaceholder)
        return renamed.indices.contains(index) ? renamed[index] : key
    }

    /// YAML 1.1 knows more line breaks than editors do; with them, places would be wrong.
    static func foreignLineBreak(in text: String) -> Position? {
        var line = 1
        var column = 1
        var previous: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            if previous == "\r", scalar != "\n" { return Position(line: line, column: column - 1) }
            switch scalar {
            case "\u{85}", "\u{2028}", "\u{2029}": return Position(line: line, column: column)
            case "\n": (line, column) = (line + 1, 1)
            default: column += 1
            }
            previous = scalar
        }
        return nil
    }
}
