/// Secret bytes from the kernel's generator: Swift's `SystemRandomNumberGenerator` is getrandom(2) on Linux.
enum RandomBytes {
    static func make(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
