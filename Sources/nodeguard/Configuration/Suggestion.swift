/// What somebody may have meant by a word that is not known.
enum Suggestion {
    /// The known word with the fewest differences, if they are few for its length.
    static func nearest(to word: String, among known: [String]) -> String? {
        let ranked = known.map { (word: $0, distance: distance(Array(word.lowercased()), Array($0))) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
        return best.distance <= max(1, best.word.count / 3) ? best.word : nil
    }

    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
    static func distance(_ from: [Character], _ to: [Character]) -> Int {
        if from.count > lengthLimit || to.count > lengthLimit { return lengthLimit }
        var beforeLast = [Int](repeating: 0, count: to.count + 1)
        var last = Array(0...to.count)
        for row in from.indices {
            var current = [row + 1] + [Int](repeating: 0, count: to.count)
            for column in to.indices {
                let replaced = last[column] + (from[row] == to[column] ? 0 : 1)
                current[column + 1] = min(last[column + 1] + 1, current[column] + 1, replaced)
                if row > 0, column > 0, from[row] == to[column - 1], from[row - 1] == to[column] {
                    current[column + 1] = min(current[column + 1], beforeLast[column - 1] + 1)
                }
            }
            (beforeLast, last) = (last, current)
        }
        return last[to.count]
    }

    private static let lengthLimit = 64
}
