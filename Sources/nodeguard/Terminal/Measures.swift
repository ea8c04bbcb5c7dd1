import Reports

/// Spans of time and sizes as a person reads them: two figures at most.
enum Measures {
    static func span(_ seconds: Int64) -> String {
        let count = abs(seconds)
        switch count {
        case ..<120: return "\(count) s"
        case ..<7200: return "\(count / 60) min"
        case ..<172_800:
            let minutes = count / 60 % 60
            return "\(count / 3600) h" + (minutes == 0 || count >= 36_000 ? "" : " \(minutes) min")
        default:
            let hours = count / 3600 % 24
            return "\(count / 86_400) d" + (hours == 0 || count >= 864_000 ? "" : " \(hours) h")
        }
    }

    static func bytes(_ count: Double) -> String {
        var value = count
        for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
            if value < 1024 || unit == "TiB" {
                let rounded = (value * 10).rounded() / 10
                return unit == "B" || rounded >= 100 || rounded == rounded.rounded()
                    ? "\(Int64(rounded.rounded())) \(unit)" : "\(rounded) \(unit)"
            }
            value /= 1024
        }
        return "\(count) B"
    }

    static func percent(_ share: Double) -> String {
        let rounded = Int((share * 100).rounded())
        return rounded == 0 && share > 0 ? "<1%" : "\(rounded)%"
    }

    static func count(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    /// The whole seconds of `2026-11-24T10:56:00Z`, fractions dropped; nil for anything else.
    static func seconds(_ text: String) -> Int64? {
        guard let match = text.wholeMatch(of: /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z/),
            let year = Int64(match.1), let month = Int64(match.2), let day = Int64(match.3), let hour = Int64(match.4),
            let minute = Int64(match.5), let second = Int64(match.6), (1...12).contains(month)
        else { return nil }
        return days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    }

    /// Days since 1970 in the proleptic Gregorian calendar; years begin in March, so that leap days come last.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
