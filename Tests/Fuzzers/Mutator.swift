/// Makes other inputs of well-formed ones, without guidance, repeatable from its seed.
package struct Mutator {
    private struct SplitMix64: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
            return value ^ value >> 31
        }
    }

    /// Lengths and counts at which readers go wrong.
    private static let numbers: [[UInt8]] = [
        [0], [0x7F], [0x80], [0xFF], [0, 0], [0xFF, 0xFF], [0x7F, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0],
        [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0], [0, 0, 0, 4], Array("9223372036854775807".utf8), Array("-1".utf8),
        Array("ffffffffffff".utf8), [0x0A], [0xC3, 0x28], [0xE2, 0x80, 0xA8],
    ]

    private var random: SplitMix64

    package init(seed: UInt64) { random = SplitMix64(state: seed) }

    /// One to eight changes to one of `pool`.
    package mutating func mutant(of pool: [[UInt8]], longest: Int) -> [UInt8] {
        var bytes = pool.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            change(&bytes, crossing: pool.randomElement(using: &random) ?? [])
        }
        return Array(bytes.prefix(longest))
    }

    private mutating func change(_ bytes: inout [UInt8], crossing other: [UInt8]) {
        let place = Int.random(in: 0...bytes.count, using: &random)
        let length = min(Int.random(in: 1...16, using: &random), bytes.count - place)
        let number = Self.numbers.randomElement(using: &random) ?? []
        switch Int.random(in: 0..<8, using: &random) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1 where place < bytes.count: bytes[place] = .random(in: .min ... .max, using: &random)
        case 2: bytes.removeSubrange(place..<place + length)
        case 3: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
        case 4: bytes.insert(contentsOf: number, at: place)
        case 5: bytes.replaceSubrange(place..<min(place + number.count, bytes.count), with: number)
        case 6: bytes = Array(bytes[..<place]) + other.suffix(Int.random(in: 0...other.count, using: &random))
        default: bytes.removeSubrange(place...)
        }
    }
}
