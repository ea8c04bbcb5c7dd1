/// Dates of HTTP in their three forms, of which recipients accept all (RFC 9110 §5.6.7).
package enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970; nil for anything else.
    package static func parse(_ text: String) -> Int64? {
        guard text.utf8.count < 64 else { return nil }
        let parts = text.split { $0 == " " || $0 == ":" || $0 == "," }.map(String.init)
        // Sun, 06 Nov 1994 08:49:37 GMT
        if parts.count == 8, parts[7] == "GMT" {
            return seconds(day: parts[1], month: parts[2], year: parts[3], time: parts[4...6])
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        if parts.count == 6, parts[5] == "GMT", case let date = parts[1].split(separator: "-").map(String.init),
            date.count == 3
        {
            return seconds(day: date[0], month: date[1], year: date[2], time: parts[2...4])
        }
        // Sun Nov  6 08:49:37 1994
        if parts.count == 7 {
            return seconds(day: parts[2], month: parts[1], year: parts[6], time: parts[3...5])
        }
        return nil
    }

    private static func seconds(day: String, month: String, year: String, time: ArraySlice<String>) -> Int64? {
        let numbers = ([day, year] + time).map { $0.allSatisfy(\.isNumber) ? Int64($0) : nil }
        guard case let values = numbers.compactMap({ $0 }), values.count == 5,
            let month = months.firstIndex(of: month), (1...31).contains(values[0]),
            case let year = year.count == 2 ? century(values[1]) : values[1], (1970...9999).contains(year),
            (0...23).contains(values[2]), (0...59).contains(values[3]), (0...60).contains(values[4])
        else { return nil }
        return days(year: year, month: month, day: values[0]) * 86_400 + values[2] * 3600 + values[3] * 60 + values[4]
    }

    /// Two digits: of this century, unless it would lie far ahead.
    private static func century(_ year: Int64) -> Int64 { year < 70 ? 2000 + year : 1900 + year }

    /// Days since 1970 of a Gregorian date, counted in years that begin on a 1st of March.
    private static func days(year: Int64, month: Int, day: Int64) -> Int64 {
        let shiftedYear = month < 2 ? year - 1 : year
        let shiftedMonth = Int64((month + 10) % 12)
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * shiftedMonth + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
