import IO
import Testing

@testable import Proxy

@Suite struct `The first record of TLS` {
    private func record(_ bytes: [UInt8], capacity: Int = 32 << 10) -> FirstRecord {
        let buffer = LaneBuffer(capacity: capacity)
        buffer.append(bytes)
        return FirstRecord(buffer)
    }

    @Test(arguments: [0, 1, 255, 256, 517, 1 << 14])
    func `is awaited to its last byte`(length: Int) {
        let whole = [0x16, 3, 1, UInt8(length >> 8), UInt8(length & 0xFF)] + [UInt8](repeating: 1, count: length)
        for count in 1..<whole.count { #expect(record(Array(whole[..<count])) == .partial) }
        #expect(record(whole) == .whole)
        #expect(record(whole + [9]) == .whole)
    }

    @Test func `is nothing else`() {
        #expect(record([]) == .clear)
        for first in UInt8.min ... .max where first != 0x16 { #expect(record([first, 3, 1, 0, 0]) == .clear) }
    }

    @Test func `that is longer than TLS allows is not awaited`() {
        #expect(record([0x16, 3, 1, 0x40, 0x01]) == .whole)
        #expect(record([0x16, 3, 1, 0xFF, 0xFF]) == .whole)
        #expect(record([0x16, 3, 1, 0x3F, 0xFF], capacity: 5) == .whole)
    }
}
