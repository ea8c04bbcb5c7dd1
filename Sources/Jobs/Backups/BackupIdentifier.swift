import OpenSSL
import Reports

/// A backup's identity: a UUIDv7 (RFC 9562 §5.7) in lower case, so that identities sort by the time of their start.
package struct BackupIdentifier: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    package var description: String { text }

    /// A new one.
    package init(at time: Timestamp = .now) {
        self.init(milliseconds: UInt64(max(0, time.nanoseconds / 1_000_000)), random: secureRandom(10))
    }

    init(milliseconds: UInt64, random: [UInt8]) {
        precondition(random.count == 10)
        var bytes = Array(bigEndian(milliseconds).dropFirst(2)) + random
        bytes[6] = 0x70 | bytes[6] & 0x0F
        bytes[8] = 0x80 | bytes[8] & 0x3F
        let digits = Array(hexadecimal(bytes))
        text = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
    }

    /// Only a UUIDv7 in its canonical text: it becomes a folder's name.
    package init?(_ text: String) {
        let characters = Array(text.utf8)
        guard characters.count == 36, characters[14] == UInt8(ascii: "7") else { return nil }
        for (index, character) in characters.enumerated() {
            let isDash = [8, 13, 18, 23].contains(index)
            let isDigit = (0x30...0x39).contains(character) || (0x61...0x66).contains(character)
            guard isDash ? character == UInt8(ascii: "-") : isDigit else { return nil }
        }
        self.text = text
    }

    /// When the backup started, to the millisecond. A folder's name may say a year that no `Timestamp` reaches.
    package var start: Timestamp {
        let digits = text.filter { $0 != "-" }.prefix(12)
        return Timestamp(nanoseconds: min(Int64(digits, radix: 16) ?? 0, Int64.max / 1_000_000) * 1_000_000)
    }

    package static func < (left: BackupIdentifier, right: BackupIdentifier) -> Bool { left.text < right.text }
}

/// Lower-case hexadecimal digits of `bytes`.
func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
