import CPostgres
import FoundationEssentials

/// Arguments in the binary form of the protocol, and answers read from it.
struct PostgresValues {
    let types: [Oid]
    private let lengths: [Int32]
    private let bytes: [CChar]

    var count: Int { types.count }

    /// None of them is null.
    init(_ values: [DatabaseValue]) {
        let encoded = values.map(Self.encode)
        types = encoded.map(\.type)
        lengths = encoded.map { Int32($0.bytes.count) }
        // One more: a value without a byte has an address, too, or it would be null.
        bytes = encoded.flatMap { $0.bytes.map { CChar(bitPattern: $0) } } + [0]
    }

    func withPointers<Result>(
        _ body: (_ values: [UnsafePointer<CChar>?], _ lengths: [Int32], _ formats: [Int32]) -> Result
    ) -> Result {
        bytes.withUnsafeBufferPointer { buffer in
            var offset = 0
            let pointers = lengths.map { length -> UnsafePointer<CChar>? in
                defer { offset += Int(length) }
                return buffer.baseAddress.map { $0 + offset }
            }
            return body(pointers, lengths, lengths.map { _ in 1 })
        }
    }

    private static func encode(_ value: DatabaseValue) -> (type: Oid, bytes: [UInt8]) {
        switch value {
        case .null: (0, [])
        case .integer(let number): (Kind.int8, withUnsafeBytes(of: number.bigEndian) { Array($0) })
        case .text(let text): (Kind.text, Array(text.utf8))
        case .blob(let bytes): (Kind.bytea, Array(bytes))
        }
    }

    /// pg_type.dat
    private enum Kind {
        static let bool: Oid = 16
        static let bytea: Oid = 17
        static let int8: Oid = 20
        static let int2: Oid = 21
        static let int4: Oid = 23
        static let text: Oid = 25
        static let numeric: Oid = 1700
        static let texts: Set<Oid> = [text, 19, 705, 1042, 1043]
    }

    static func answer(_ result: OpaquePointer) throws -> PostgresConnection.Answer {
        let columns = (0..<PQnfields(result)).map { String(cString: PQfname(result, $0)) }
        let rows = try (0..<PQntuples(result)).map { row in
            try (0..<Int32(columns.count)).map { try value(result, row, $0, columns) }
        }
        return PostgresConnection.Answer(
            columns: columns, rows: rows, tag: PQcmdStatus(result).map { String(cString: $0) } ?? "")
    }

    private static func value(
        _ result: OpaquePointer, _ row: Int32, _ column: Int32, _ columns: [String]
    ) throws -> DatabaseValue {
        if PQgetisnull(result, row, column) == 1 { return .null }
        let length = Int(PQgetlength(result, row, column))
        let bytes = UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: length)
        let type = PQftype(result, column)
        if PQfformat(result, column) == 0 || Kind.texts.contains(type) {
            return .text(String(decoding: bytes, as: UTF8.self))
        }
        switch type {
        case Kind.bytea: return .blob(Data(bytes))
        case Kind.bool: return .integer(bytes.first == 1 ? 1 : 0)
        case Kind.int2, Kind.int4, Kind.int8:
            let isNegative = bytes.first.map { $0 & 0x80 != 0 } ?? false
            return .integer(bytes.reduce(isNegative ? -1 : 0) { $0 << 8 | Int64($1) })
        case Kind.numeric:
            if let number = wholeNumber(Array(bytes)) { return .integer(number) }
        default: break
        }
        throw StoreProblem.unexpectedValue(column: columns[Int(column)], type: "text, whole number or bytes")
    }

    /// A sum of whole numbers is a `numeric`: count of digits to base 10000, weight of the first, sign, scale, digits
    /// (numeric_send in PostgreSQL's numeric.c). nil: it has a fraction, or needs more than 64 bits.
    static func wholeNumber(_ bytes: [UInt8]) -> Int64? {
        let words = stride(from: 0, to: bytes.count - 1, by: 2).map { Int64(bytes[$0]) << 8 | Int64(bytes[$0 + 1]) }
        guard words.count >= 4, words.count == 4 + Int(words[0]), [0, 0x4000].contains(words[2]) else { return nil }
        let weight = Int(Int16(truncatingIfNeeded: words[1]))
        guard words[0] == 0 || (weight >= words[0] - 1 && weight < 5) else { return nil }
        var number: Int64 = 0
        for index in 0..<(words[0] == 0 ? 0 : weight + 1) {
            let digit = index < words[0] ? words[4 + index] : 0
            let (product, isTooLarge) = number.multipliedReportingOverflow(by: 10_000)
            let (sum, isLarger) = product.addingReportingOverflow(words[2] == 0 ? digit : -digit)
            if isTooLarge || isLarger { return nil }
            number = sum
        }
        return number
    }
}
