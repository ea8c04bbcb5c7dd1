/// Rows in columns that fit a stated width: the widest column gives way first, and what is cut ends with `…`.
struct TextTable {
    struct Column {
        let title: String
        var isNumber = false
    }

    let columns: [Column]
    var rows: [[String]] = []

    static let indent = 2
    private static let gap = 2
    private static let narrowest = 4

    func lines(width: Int, hasTitles: Bool = true) -> [String] {
        let all = (hasTitles ? [columns.map(\.title)] : []) + rows
        let used = columns.indices.filter { column in rows.contains { !$0[column].isEmpty } }
        if used.isEmpty { return [] }
        var widths = used.map { column in all.map { $0[column].count }.max() ?? 0 }
        let available = width - Self.indent - Self.gap * (used.count - 1)
        while widths.reduce(0, +) > available, let widest = widths.max(), widest > Self.narrowest,
            let index = widths.firstIndex(of: widest)
        {
            widths[index] -= 1
        }
        return all.map { row in
            var line = String(repeating: " ", count: Self.indent)
            for (position, column) in used.enumerated() {
                let text = Self.cut(row[column], widths[position])
                let space = String(repeating: " ", count: widths[position] - text.count)
                line += columns[column].isNumber ? space + text : text + space
                line += String(repeating: " ", count: Self.gap)
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return Self.cut(line, width)
        }
    }

    static func cut(_ text: String, _ width: Int) -> String {
        text.count <= width ? text : text.prefix(max(0, width - 1)) + "…"
    }

    /// Words in lines of at most `width`; a longer word is cut into pieces.
    static func wrapped(_ text: String, width: Int, indent: Int) -> [String] {
        let space = String(repeating: " ", count: indent)
        let limit = width - indent
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            var rest = word[...]
            while !rest.isEmpty {
                let needed = line.isEmpty ? 0 : 1
                if line.count + needed + rest.count <= limit {
                    line += (line.isEmpty ? "" : " ") + rest
                    rest = ""
                } else if line.isEmpty {
                    lines.append(space + rest.prefix(limit))
                    rest = rest.dropFirst(limit)
                } else {
                    lines.append(space + line)
                    line = ""
                }
            }
        }
        return line.isEmpty ? lines : lines + [space + line]
    }
}
