import CLinux
import Glibc

/// Small files that must be whole or not there, whatever happens. Each call blocks and names its path in errors.
package enum Files {
    /// At a time.
    private static let readLimit = 256 << 10

    /// The whole file; longer ones than `limit` throw EFBIG.
    package static func read(_ path: String, limit: Int) throws(IOError) -> [UInt8] {
        let raw = retrying { open(path, O_RDONLY | O_CLOEXEC) }
        guard raw >= 0 else { throw IOError("open \(path)") }
        let file = Descriptor(owning: raw)
        var status = stat()
        // What the kernel makes up (proc(5)) is said to be empty.
        let expected = fstat(file.rawValue, &status) == 0 ? max(4096, Int(status.st_size)) : 4096
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(limit, expected))
        let buffer = LaneBuffer(capacity: min(limit, expected, readLimit) + 1)
        while bytes.count <= limit {
            let count: Int
            do { count = try file.read(into: buffer) } catch { throw IOError("read \(path)", code: error.code) }
            if count == 0 { return bytes }
            buffer.withReadableBytes { bytes.append(contentsOf: $0) }
            buffer.removeAll()
        }
        throw IOError("read \(path)", code: EFBIG)
    }

    /// Under a temporary name, fsynced, renamed, the folder fsynced: a reader sees the old file or the new one. A
    /// path has one writer at a time.
    package static func write(_ bytes: [UInt8], to path: String, mode: UInt32) throws(IOError) {
        let temporary = "\(path).new-\(getpid())"
        unlink(temporary)
        let raw = retrying { open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) }
        guard raw >= 0 else { throw IOError("create \(temporary)") }
        do {
            let file = Descriptor(owning: raw)
            _ = fchmod(raw, mode)
            try file.writeAll(bytes)
            try file.synchronize()
        } catch {
            let code = error.code
            unlink(temporary)
            throw IOError("write \(path)", code: code)
        }
        try rename(temporary, to: path)
    }

    /// Renames over what is there and fsyncs the folder.
    package static func rename(_ path: String, to target: String) throws(IOError) {
        guard Glibc.rename(path, target) == 0 else { throw IOError("rename \(path) to \(target)") }
        try synchronizeDirectory(folder(of: target))
    }

    /// With its parents, durably; one that exists is fine and keeps its mode, also behind a symbolic link
    /// (systemd.exec(5), `DynamicUser=`).
    package static func makeDirectory(_ path: String, mode: UInt32) throws(IOError) {
        if mkdir(path, mode) == 0 { return try synchronizeDirectory(folder(of: path)) }
        switch errno {
        case EEXIST where isDirectory(path, through: true): return
        case ENOENT where path != folder(of: path):
            try makeDirectory(folder(of: path), mode: mode)
            guard mkdir(path, mode) == 0 || errno == EEXIST else { throw IOError("make the folder \(path)") }
            try synchronizeDirectory(folder(of: path))
        default: throw IOError("make the folder \(path)")
        }
    }

    /// Makes a rename or removal in the folder durable (fsync(2), NOTES).
    package static func synchronizeDirectory(_ path: String) throws(IOError) {
        let raw = retrying { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard raw >= 0 else { throw IOError("open the folder \(path)") }
        try Descriptor(owning: raw).synchronize()
    }

    /// Points `link` at `target` in one step, over what it pointed at before.
    package static func replaceSymbolicLink(_ link: String, to target: String) throws(IOError) {
        let temporary = "\(link).new-\(getpid())"
        unlink(temporary)
        guard symlink(target, temporary) == 0 else { throw IOError("make the link \(temporary)") }
        try rename(temporary, to: link)
    }

    package static func symbolicLinkTarget(_ link: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(link, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    package static func remove(_ path: String) throws(IOError) {
        guard unlink(path) == 0 else { throw IOError("remove \(path)") }
    }

    package static func removeTree(_ path: String) throws(IOError) {
        if isDirectory(path) {
            for name in try list(path) { try removeTree(path + "/" + name) }
            guard rmdir(path) == 0 else { throw IOError("remove the folder \(path)") }
        } else {
            try remove(path)
        }
    }

    /// Whether there is a group of this name (group(5)).
    package static func isGroup(_ name: String) -> Bool { Account.group(name) != nil }

    /// `group`: a name of group(5).
    package static func setGroup(of path: String, to group: String?) throws(IOError) {
        guard let number = group.map({ Account.group($0) }) ?? getegid() else {
            throw IOError("give \(path) to the group \(group ?? ""), which does not exist", code: ENOENT)
        }
        guard chown(path, uid_t.max, number) == 0 else {
            throw IOError("give \(path) to the group \(group ?? "of this process")")
        }
    }

    /// Whether the file is this process's own, but not of the group; nil: of the process's.
    package static func isOwnOfOtherGroup(_ path: String, than group: String?) -> Bool {
        var state = stat()
        guard stat(path, &state) == 0, state.st_uid == geteuid() else { return false }
        return state.st_gid != (group.map { Account.group($0) } ?? getegid())
    }

    /// Names in the folder, sorted, without `.` and `..`.
    package static func list(_ path: String) throws(IOError) -> [String] {
        guard let folder = opendir(path) else { throw IOError("list the folder \(path)") }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// A symbolic link is none, unless asked to look through it.
    package static func isDirectory(_ path: String, through: Bool = false) -> Bool {
        var status = stat()
        return (through ? stat(path, &status) : lstat(path, &status)) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    package static func size(_ path: String) throws(IOError) -> Int64 {
        var status = stat()
        guard stat(path, &status) == 0 else { throw IOError("look at \(path)") }
        return Int64(status.st_size)
    }

    /// Its permission bits.
    package static func mode(_ path: String) throws(IOError) -> UInt32 {
        var status = stat()
        guard stat(path, &status) == 0 else { throw IOError("look at \(path)") }
        return status.st_mode & 0o7777
    }

    /// Bytes that an unprivileged process can still write where `path` is.
    package static func freeSpace(at path: String) throws(IOError) -> UInt64 {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw IOError("look at the disk of \(path)") }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// The folder that `path` stands in.
    package static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last step of `path`.
    package static func name(of path: String) -> String { String(path.split(separator: "/").last ?? "") }

    package static func create(_ path: String, mode: UInt32) throws(IOError) -> Descriptor {
        let raw = retrying { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) }
        guard raw >= 0 else { throw IOError("create \(path)") }
        return Descriptor(owning: raw)
    }

    package static func openForReading(_ path: String) throws(IOError) -> Descriptor {
        let raw = retrying { open(path, O_RDONLY | O_CLOEXEC) }
        guard raw >= 0 else { throw IOError("open \(path)") }
        return Descriptor(owning: raw)
    }

    /// Keeps the file open and locked while the descriptor lives; EWOULDBLOCK if another process holds it (flock(2)).
    package static func lock(_ path: String) throws(IOError) -> Descriptor {
        let raw = retrying { open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600) }
        guard raw >= 0 else { throw IOError("open \(path)") }
        let file = Descriptor(owning: raw)
        guard flock(raw, LOCK_EX | LOCK_NB) == 0 else { throw IOError("lock \(path)") }
        return file
    }
}
