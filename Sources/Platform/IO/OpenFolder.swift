import CLinux
import Glibc

/// A folder that is held open, in which names are looked up by openat(2). Whoever may write into it, or above it, can
/// put a link there, and leads nobody along it (CWE-59). Each call blocks and names its path in errors.
package struct OpenFolder: ~Copyable, Sendable {
    /// What stat(2) says without following a link.
    package struct Entry: Sendable, Equatable {
        package let isFile: Bool
        package let owner: UInt32
        package let group: UInt32
        /// Permission bits.
        package let mode: UInt32

        fileprivate init(_ status: stat) {
            isFile = status.st_mode & S_IFMT == S_IFREG
            (owner, group, mode) = (status.st_uid, status.st_gid, status.st_mode & 0o7777)
        }
    }

    /// A file of it, and what it is.
    package struct File: ~Copyable, Sendable {
        package let descriptor: Descriptor
        package let entry: Entry
    }

    package let path: String
    private let descriptor: Descriptor

    /// Each step of `path` must be a folder: a link anywhere in it is refused.
    package init(withoutLinks path: String) throws(IOError) {
        var folder = try Self.open("/", path)
        for step in path.split(separator: "/") { folder = try Self.step(String(step), from: folder, of: path) }
        try self.init(folder, path)
    }

    /// Of somebody whom we trust: links are followed.
    package init(_ path: String) throws(IOError) { try self.init(try Self.open(path, path), path) }

    /// From a descriptor that only names a folder to one that lists and synchronizes it.
    private init(_ folder: consuming Descriptor, _ path: String) throws(IOError) {
        let raw = retrying { openat(folder.rawValue, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard raw >= 0 else { throw IOError("open the folder \(path)") }
        descriptor = Descriptor(owning: raw)
        self.path = path
    }

    /// O_PATH, which Glibc's module map hides: whoever may pass through a folder may not be allowed to list it.
    private static let name: Int32 = 0o10000000

    private static func open(_ step: String, _ path: String) throws(IOError) -> Descriptor {
        let raw = retrying { Glibc.open(step, name | O_DIRECTORY | O_CLOEXEC) }
        guard raw >= 0 else { throw IOError("open the folder \(path)") }
        return Descriptor(owning: raw)
    }

    private static func step(
        _ step: String, from folder: borrowing Descriptor, of path: String
    ) throws(IOError) -> Descriptor {
        let raw = retrying { openat(folder.rawValue, step, name | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        if raw >= 0 { return Descriptor(owning: raw) }
        let code = errno
        var status = stat()
        let isLink =
            fstatat(folder.rawValue, step, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_mode & S_IFMT == S_IFLNK
        let words = "'\(step)' is a symbolic link, which somebody could turn elsewhere: name the real path"
        throw IOError("open the folder \(path)", code: code, words: isLink ? words : nil)
    }

    /// The folder `name` in it, which must be no link.
    package borrowing func folder(_ name: String) throws(IOError) -> OpenFolder {
        let path = "\(path)/\(name)"
        return try OpenFolder(try Self.step(name, from: descriptor, of: path), path)
    }

    // MARK: looking

    package borrowing func look() throws(IOError) -> Entry {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw IOError("look at \(path)") }
        return Entry(status)
    }

    /// nil: there is none.
    package borrowing func look(at name: String) throws(IOError) -> Entry? {
        var status = stat()
        if fstatat(descriptor.rawValue, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return Entry(status) }
        guard errno == ENOENT else { throw IOError("look at \(path)/\(name)") }
        return nil
    }

    /// Ordinary files only.
    package borrowing func open(_ name: String) throws(IOError) -> File {
        let raw = retrying { openat(descriptor.rawValue, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
        guard raw >= 0 else { throw IOError("open \(path)/\(name)") }
        let file = Descriptor(owning: raw)
        var status = stat()
        guard fstat(raw, &status) == 0 else { throw IOError("look at \(path)/\(name)") }
        let entry = Entry(status)
        guard entry.isFile else { throw IOError("open \(path)/\(name)", code: EINVAL, words: "it is no file") }
        return File(descriptor: file, entry: entry)
    }

    /// The whole file; longer ones than `limit` throw EFBIG.
    package borrowing func read(_ name: String, limit: Int) throws(IOError) -> (bytes: [UInt8], entry: Entry) {
        let file = try open(name)
        let buffer = LaneBuffer(capacity: limit + 1)
        while buffer.freeCount > 0 {
            let count: Int
            do { count = try file.descriptor.read(into: buffer) } catch {
                throw IOError("read \(path)/\(name)", code: error.code)
            }
            if count == 0 { return (buffer.bytes(), file.entry) }
        }
        throw IOError("read \(path)/\(name)", code: EFBIG)
    }

    package borrowing func linkTarget(_ name: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlinkat(descriptor.rawValue, name, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    // MARK: changing

    /// A new file that is whole and on the disk, beside `name` until `adopt` puts it there. It never has more readers
    /// than in the end: permissions first, the owner last.
    package borrowing func draft(
        _ name: String, _ bytes: Span<UInt8>, mode: UInt32, owner: UInt32, group: UInt32
    ) throws(IOError) {
        let draft = Self.draft(of: name)
        unlinkat(descriptor.rawValue, draft, 0)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let raw = retrying { openat(descriptor.rawValue, draft, flags, 0o600) }
        guard raw >= 0 else { throw IOError("create \(path)/\(draft)") }
        let file = Descriptor(owning: raw)
        do throws(IOError) {
            try file.writeAll(bytes)
            guard fchmod(raw, mode) == 0 else { throw IOError("set the mode") }
            var status = stat()
            guard fstat(raw, &status) == 0 else { throw IOError("look") }
            if (status.st_uid, status.st_gid) != (owner, group) {
                guard fchown(raw, owner, group) == 0 else { throw IOError("give away") }
            }
            try file.synchronize()
        } catch {
            unlinkat(descriptor.rawValue, draft, 0)
            throw IOError("\(error.operation) \(path)/\(name)", code: error.code)
        }
    }

    package borrowing func adopt(_ name: String) throws(IOError) { try rename(Self.draft(of: name), to: name) }

    /// As if it had not been made.
    package borrowing func discard(_ name: String) { unlinkat(descriptor.rawValue, Self.draft(of: name), 0) }

    /// Over what is there; not durable before `synchronize`.
    package borrowing func rename(_ name: String, to target: String) throws(IOError) {
        guard renameat(descriptor.rawValue, name, descriptor.rawValue, target) == 0 else {
            throw IOError("rename \(path)/\(name) to \(target)")
        }
    }

    /// Keeps an ordinary file under a second name, too, over what was kept there; true if there was one.
    package borrowing func keep(_ name: String, as second: String) throws(IOError) -> Bool {
        guard try look(at: name)?.isFile == true else { return false }
        let draft = Self.draft(of: second)
        unlinkat(descriptor.rawValue, draft, 0)
        guard linkat(descriptor.rawValue, name, descriptor.rawValue, draft, 0) == 0 else {
            throw IOError("keep \(path)/\(name) as \(second)")
        }
        try rename(draft, to: second)
        // rename(2) does nothing where both are the same file already.
        unlinkat(descriptor.rawValue, draft, 0)
        return true
    }

    package borrowing func remove(_ name: String) throws(IOError) {
        guard unlinkat(descriptor.rawValue, name, 0) == 0 || errno == ENOENT else {
            throw IOError("remove \(path)/\(name)")
        }
    }

    package borrowing func synchronize() throws(IOError) {
        do { try descriptor.synchronize() } catch { throw IOError("synchronize \(path)", code: error.code) }
    }

    /// Blocks until nobody else holds it; while this folder is open.
    package borrowing func lock() throws(IOError) {
        guard retrying({ flock(descriptor.rawValue, LOCK_EX) }) == 0 else { throw IOError("lock \(path)") }
    }

    private static func draft(of name: String) -> String { ".\(name).new" }
}
