import FoundationEssentials
import PlaneAPI

/// What a backup of the plane says of itself, before everything else in it.
struct BackupManifest: Codable, Sendable, Equatable {
    static let format = "nodeguard-plane-backup/1"

    struct File: Codable, Sendable, Equatable {
        /// Within the state folder.
        let path: String
        let size: Int
        /// In hex.
        let sha256: String
    }

    var format = BackupManifest.format
    let createdAt: Int64
    /// The plane's own log, and how far it went.
    let plane: String
    let logSize: UInt64
    let checkpoint: String
    /// Which migrations its tables have been through, in their order.
    let migrations: [String]
    let files: [File]
    /// How many rows each table has.
    let tables: [String: Int64]
}

/// One thing in a backup: a kind, its length, its bytes.
enum BackupRecord: Equatable {
    /// In JSON; the first.
    case manifest(BackupManifest)
    /// The bytes of the next file of the manifest.
    case file([UInt8])
    /// The rows that follow are of this table, and have these columns.
    case table(BackupTable)
    case row([DatabaseValue])
    /// The last: what is not followed by it is not whole.
    case end

    /// Larger than any event, list of revocations or file that the plane has.
    static let sizeLimit = 128 << 20

    func encoded() throws -> [UInt8] {
        let (kind, body): (Kind, [UInt8]) =
            switch self {
            case .manifest(let manifest): (.manifest, Array(try JSONEncoder.plane.encode(manifest)))
            case .file(let bytes): (.file, bytes)
            case .table(let table): (.table, Array(try JSONEncoder.plane.encode(table)))
            case .row(let values): (.row, values.flatMap(Self.encode))
            case .end: (.end, [])
            }
        guard body.count <= Self.sizeLimit else {
            throw PlaneProblem("something of \(body.count) bytes is too large for a backup", remedy: "report this")
        }
        return [kind.rawValue] + BigEndian.bytes(UInt32(body.count)) + body
    }

    /// The next one.
    init(from reader: SealedFileReader) throws {
        let head = try reader.read(5)
        guard head.count == 5, let kind = Kind(rawValue: head[0]) else { throw Self.malformed }
        let size: UInt32 = BigEndian.number(head.dropFirst())
        guard size <= Self.sizeLimit else { throw Self.malformed }
        let body = try reader.read(Int(size))
        guard body.count == Int(size) else { throw Self.malformed }
        switch kind {
        case .manifest: self = .manifest(try Self.decode(body))
        case .file: self = .file(body)
        case .table: self = .table(try Self.decode(body))
        case .row: self = .row(try Self.values(body))
        case .end: self = .end
        }
    }

    private enum Kind: UInt8 { case manifest = 1, file, table, row, end }
    private enum ValueKind: UInt8 { case null = 0, integer, text, blob }

    static let malformed = PlaneProblem(
        "the backup holds something that this version cannot read",
        remedy: "restore it with the version that made it, or a newer one")

    private static func decode<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
        guard let value = try? JSONDecoder().decode(Value.self, from: Data(bytes)) else { throw malformed }
        return value
    }

    private static func encode(_ value: DatabaseValue) -> [UInt8] {
        switch value {
        case .null: [ValueKind.null.rawValue]
        case .integer(let number): [ValueKind.integer.rawValue] + BigEndian.bytes(number)
        case .text(let text): [ValueKind.text.rawValue] + BigEndian.bytes(UInt32(text.utf8.count)) + Array(text.utf8)
        case .blob(let bytes): [ValueKind.blob.rawValue] + BigEndian.bytes(UInt32(bytes.count)) + Array(bytes)
        }
    }

    private static func values(_ body: [UInt8]) throws -> [DatabaseValue] {
        var values: [DatabaseValue] = []
        var rest = body[...]
        func take(_ count: Int) throws -> ArraySlice<UInt8> {
            guard rest.count >= count else { throw malformed }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
        func measured() throws -> ArraySlice<UInt8> {
            let size: UInt32 = BigEndian.number(try take(4))
            return try take(Int(size))
        }
        while let first = rest.popFirst() {
            switch ValueKind(rawValue: first) {
            case .null: values.append(.null)
            case .integer: values.append(.integer(BigEndian.number(try take(8))))
            case .text:
                guard let text = String(bytes: try measured(), encoding: .utf8) else { throw malformed }
                values.append(.text(text))
            case .blob: values.append(.blob(Data(try measured())))
            case nil: throw malformed
            }
        }
        return values
    }
}

struct BackupTable: Codable, Sendable, Equatable {
    let name: String
    let columns: [String]
}
