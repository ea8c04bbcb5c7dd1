import Glibc

/// A small file of the state folder that survives a power cut: written under a temporary name, fsynced, renamed, and
/// its folder fsynced (rename(2) alone orders nothing on disk). Readable by its owner only.
enum StateFile {
    static let sizeLimit = 64 << 10

    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) throws {
        let temporary = "\(path).new.\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw problem("create", temporary) }
        do {
            defer { close(descriptor) }
            guard fchmod(descriptor, mode) == 0 else { throw problem("set the mode of", temporary) }
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, Array(rest), rest.count)
                guard count > 0 else { throw problem("write", temporary) }
                rest = rest.dropFirst(count)
            }
            guard fsync(descriptor) == 0 else { throw problem("fsync", temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else { throw problem("rename to", path) }
        try synchronizeFolder(of: path)
    }

    static func read(_ path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw problem("open", path) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: sizeLimit)
        var filled = 0
        while filled < sizeLimit {
            var piece = [UInt8](repeating: 0, count: sizeLimit - filled)
            let count = Glibc.read(descriptor, &piece, piece.count)
            guard count >= 0 else { throw problem("read", path) }
            if count == 0 { break }
            bytes.replaceSubrange(filled..<(filled + count), with: piece[..<count])
            filled += count
        }
        return Array(bytes[..<filled])
    }

    /// No error if it is not there.
    static func remove(_ path: String) { unlink(path) }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func makeFolder(_ path: String) throws {
        if mkdir(path, 0o700) == 0 {
            try synchronizeFolder(of: path)
        } else if errno != EEXIST {
            throw problem("make the folder", path)
        }
    }

    static func synchronizeFolder(of path: String) throws {
        let cut = path.lastIndex(of: "/")
        let folder = cut.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw problem("open the folder", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw problem("fsync the folder", folder) }
    }

    static func problem(_ operation: String, _ path: String) -> PlaneProblem {
        let words = String(cString: strerror(errno))
        return PlaneProblem("cannot \(operation) \(path)", remedy: "\(words); check owner, mode and free space")
    }
}
