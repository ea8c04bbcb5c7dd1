import Glibc

/// A moment of the wall clock, in nanoseconds since 1970-01-01T00:00:00Z. Text is RFC 3339 in UTC.
package struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    package init(seconds: Int64) { nanoseconds = seconds * 1_000_000_000 }

    package static var now: Timestamp {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Whole seconds since 1970, rounded down.
    package var seconds: Int64 { Self.floorDivide(nanoseconds, 1_000_000_000) }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.nanoseconds < right.nanoseconds }

    /// `2026-11-24T10:56:00Z`
    package var description: String { text(fractionDigits: 0) }

    /// `2026-11-24T10:56:00.123456Z`
    package var precise: String { text(fractionDigits: 6) }

    private func text(fractionDigits: Int) -> String {
        var out: [UInt8] = []
        write(to: &out, fractionDigits: fractionDigits)
        return String(decoding: out, as: UTF8.self)
    }

    /// Appends the text; nine digits of a second at most.
    package func write(to out: inout [UInt8], fractionDigits: Int) {
        let seconds = seconds
        let days = Self.floorDivide(seconds, 86_400)
        let second = seconds - days * 86_400
        let (year, month, day) = Self.civil(daysSince1970: days)
        // 64 bits of nanoseconds reach from 1677 to 2262.
        Self.write(year, width: 4, to: &out)
        let parts: [(UInt8, Int64)] = [
            (UInt8(ascii: "-"), month), (UInt8(ascii: "-"), day), (UInt8(ascii: "T"), second / 3600),
            (UInt8(ascii: ":"), second / 60 % 60), (UInt8(ascii: ":"), second % 60),
        ]
        for (mark, value) in parts {
            out.append(mark)
            Self.write(value, width: 2, to: &out)
        }
        if fractionDigits > 0 {
            out.append(UInt8(ascii: "."))
            Self.write(nanoseconds - seconds * 1_000_000_000, width: 9, to: &out)
            out.removeLast(9 - fractionDigits)
        }
        out.append(UInt8(ascii: "Z"))
    }

    /// So many digits; the value has no more.
    private static func write(_ value: Int64, width: Int, to out: inout [UInt8]) {
        var left = value
        let start = out.count
        for _ in 0..<width { out.append(UInt8(ascii: "0")) }
        for index in (start..<start + width).reversed() {
            out[index] += UInt8(truncatingIfNeeded: left % 10)
            left /= 10
        }
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }

    /// The proleptic Gregorian date, counted in eras of 400 years that begin on a 1st of March.
    private static func civil(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = daysSince1970 + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, day)
    }
}
