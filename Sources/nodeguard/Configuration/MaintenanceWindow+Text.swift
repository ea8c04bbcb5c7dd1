import Certificates

extension Form where Value == MaintenanceWindow.Span {
    private typealias Day = MaintenanceWindow.Day

    /// `Sat 02:00-04:00`, `Mon-Fri 22:00-01:00`, `Tue,Thu 03:00-05:00`, `02:00-04:00` of every day; in UTC, which may
    /// be said.
    static var span: Form {
        Form { text throws(Flaw) in
            var words = text.split(separator: " ", omittingEmptySubsequences: false)
            if words.count > 1, words.last == "UTC" { words.removeLast() }
            let times = (words.last ?? "").split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(words.count), times.count == 2, let begin = minutes(times[0]),
                let end = minutes(times[1]), begin < 1440
            else { throw Flaw("'\(text)' is no window: write Sat 02:00-04:00, Mon-Fri 22:00-01:00 or 02:00-04:00") }
            guard begin != end else { throw Flaw("'\(text)' ends when it begins: every hour is 00:00-24:00") }
            let days = words.count == 1 ? Day.allCases : try days(words[0])
            return MaintenanceWindow.Span(days: days, begin: begin, end: end)
        }
    }

    private static func minutes(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), minute < 60, hour * 60 + minute <= 1440
        else { return nil }
        return hour * 60 + minute
    }

    private static func days(_ text: Substring) throws(Flaw) -> [Day] {
        var found: [Day] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            let named = ends.compactMap { name in Day.allCases.first { $0.name == name } }
            guard named.count == ends.count, (1...2).contains(ends.count), let first = named.first,
                let last = named.last
            else { throw Flaw("'\(part)' is no day: write \(Day.allCases.map(\.name).joined(separator: ", "))") }
            let count = (last.rawValue - first.rawValue + 7) % 7
            found += (0...count).compactMap { Day(rawValue: (first.rawValue + $0) % 7) }
        }
        guard Set(found).count == found.count else { throw Flaw("'\(text)' names a day twice") }
        return found.sorted { $0.rawValue < $1.rawValue }
    }
}

extension MaintenanceWindow.Day {
    fileprivate var name: String { ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][rawValue] }
}

extension MaintenanceWindow.Span {
    /// As `Form.span` reads it.
    var text: String {
        func time(_ minutes: Int) -> String {
            let parts = [minutes / 60, minutes % 60].map { ($0 < 10 ? "0" : "") + String($0) }
            return parts.joined(separator: ":")
        }
        let days = days == MaintenanceWindow.Day.allCases ? "" : days.map(\.name).joined(separator: ",") + " "
        return "\(days)\(time(begin))-\(time(end)) UTC"
    }
}
