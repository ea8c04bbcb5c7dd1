/// Serial numbers, to be looked up: sorted, in 16 octets each, or in 24 where they are longer than that.
struct SerialTable: Sendable {
    private var short: [UInt128] = []
    private var long: [SerialNumber] = []

    /// How many of each there will be.
    init(shortCount: Int, longCount: Int) {
        short.reserveCapacity(shortCount)
        long.reserveCapacity(longCount)
    }

    mutating func append(_ serial: SerialNumber) {
        if let number = serial.short { short.append(number) } else { long.append(serial) }
    }

    /// To be called once, before anything is looked up. Many authorities sort their lists themselves.
    mutating func sort() {
        if !Self.isSorted(short) { short.sort() }
        if !Self.isSorted(long) { long.sort() }
    }

    var count: Int { short.count + long.count }

    func contains(_ serial: SerialNumber) -> Bool {
        if let number = serial.short { return Self.contains(number, in: short) }
        return Self.contains(serial, in: long)
    }

    private static func contains<Number: Comparable>(_ wanted: Number, in table: [Number]) -> Bool {
        var (low, high) = (0, table.count)
        while low < high {
            let middle = (low + high) / 2
            if table[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low < table.count && table[low] == wanted
    }

    private static func isSorted<Number: Comparable>(_ table: [Number]) -> Bool {
        table.indices.dropFirst().allSatisfy { table[$0 - 1] <= table[$0] }
    }
}
