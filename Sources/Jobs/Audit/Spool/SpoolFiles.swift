import IO
import Reports

/// The files that make up one log on the disk, and the place where they go when they cannot be trusted.
struct SpoolFiles: Sendable {
    static let keptAside = 16

    let directory: String

    var database: String { directory + "/audit.sqlite" }
    var log: String { database + "-wal" }
    var index: String { database + "-shm" }
    var key: String { directory + "/audit.key" }
    var head: String { directory + "/audit.head" }
    var quarantine: String { directory + "/quarantine" }

    /// The head goes last: while it is there, a start knows that a log was there, too.
    private var all: [String] { [database, log, index, database + "-journal", key, head] }

    /// Anything but a lone key, which a start that was cut short leaves behind.
    var hasTraces: Bool { [database, log, index, head].contains(where: Files.exists) }

    /// Where a file should be and none can be made.
    var obstacle: String? { all.first { Files.isDirectory($0) } }

    /// Moves what there is into a folder of its own and returns the folder. Only the newest `keptAside` of them stay.
    func putAside(at time: Timestamp) throws(IOError) -> String {
        let stamp = time.description.filter { $0 != ":" && $0 != "-" }
        var folder = "\(quarantine)/audit-\(stamp)"
        var number = 1
        while Files.exists(folder) {
            number += 1
            folder = "\(quarantine)/audit-\(stamp)-\(number)"
        }
        try Files.makeDirectory(folder, mode: 0o700)
        for path in all where Files.exists(path) {
            try Files.rename(path, to: folder + path.dropFirst(directory.count))
        }
        try Files.synchronizeDirectory(directory)
        try forgetOldest()
        return folder
    }

    /// Folder names begin with their time.
    private func forgetOldest() throws(IOError) {
        let logs = try Files.list(quarantine).filter { $0.hasPrefix("audit-") }
        for name in logs.dropLast(Self.keptAside) { try Files.removeTree("\(quarantine)/\(name)") }
    }
}
