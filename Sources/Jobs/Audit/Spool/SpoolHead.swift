import IO

/// The last numbers that were given out and offered to the plane, kept apart from the database: a database that was put
/// back to an earlier state (its write-ahead log cut or removed, an old copy moved over it) is noticed before a number
/// is given out twice.
///
/// Written after each commit and never fsynced, so it is never ahead of an honest database: after a power cut it may
/// lag, which is harmless. One line a commit; the file is begun anew when it has grown to `sizeLimit`.
struct SpoolHead: ~Copyable, Sendable {
    struct Mark: Equatable, CustomStringConvertible {
        let epoch: UInt64
        let last: Int64
        let offered: Int64

        var description: String { "event \(last) of epoch \(epoch), \(offered) offered" }
    }

    static let sizeLimit = 64 << 10

    private let path: String
    private var file: Descriptor
    private var size: Int

    /// Begins the file anew with `mark`.
    init(_ path: String, _ mark: Mark) throws(IOError) {
        let line = Self.line(mark)
        let new = path + ".new"
        if Files.exists(new) { try Files.remove(new) }
        let descriptor = try Files.create(new, mode: 0o600)
        try descriptor.writeAll(line)
        try Files.rename(new, to: path)
        file = descriptor
        self.path = path
        size = line.count
    }

    mutating func advance(to mark: Mark) throws(IOError) {
        if size >= Self.sizeLimit {
            self = try SpoolHead(path, mark)
            return
        }
        let line = Self.line(mark)
        try file.writeAll(line)
        size += line.count
    }

    /// The last whole line; nil if there is none.
    static func read(_ path: String) -> Mark? {
        guard let bytes = try? Files.read(path, limit: 2 * sizeLimit), let end = bytes.lastIndex(of: 0x0A) else {
            return nil
        }
        let line = String(decoding: bytes[..<end].split(separator: 0x0A).last ?? [], as: UTF8.self)
        let words = line.split(separator: " ")
        guard words.count == 4, let epoch = UInt64(words[0]), let last = Int64(words[1]),
            let offered = Int64(words[2]), words[3] == "."
        else { return nil }
        return Mark(epoch: epoch, last: last, offered: offered)
    }

    /// The full stop tells a whole line from one that a full disk cut short.
    private static func line(_ mark: Mark) -> [UInt8] { Array("\(mark.epoch) \(mark.last) \(mark.offered) .\n".utf8) }
}
