import Foundation

/// Results for people: medians with their range, and the ratio to the best of the peers.
struct Table {
    let results: Results

    func print(ratioOf subject: String) {
        var rows = [["work", "metric"] + results.subjects + ["\(subject) : best"]]
        var work = ""
        for key in results.keys {
            var row = [key.work == work ? "" : key.work, "\(key.metric.name), \(key.metric.unit)"]
            work = key.work
            row += results.subjects.map { results.values(key, $0).map(Self.text) ?? "" }
            let best = results.bestPeer(key, of: subject).flatMap { results.ratio(key, subject, to: $0) }
            row.append(best.map { String(format: "%.2f", $0) } ?? "")
            rows.append(row)
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = zip(row, widths).enumerated().map { index, cell in
                let space = String(repeating: " ", count: cell.1 - cell.0.count)
                return index < 2 ? cell.0 + space : space + cell.0
            }
            Swift.print(cells.joined(separator: "  "))
        }
    }

    private static func text(_ values: [Double]) -> String {
        let ordered = values.sorted()
        guard let least = ordered.first, let most = ordered.last else { return "" }
        return least == most ? short(least) : "\(short(values.median)) (\(short(least))–\(short(most)))"
    }

    private static func short(_ value: Double) -> String {
        let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
        return String(format: "%.\(digits)f", value)
    }
}
