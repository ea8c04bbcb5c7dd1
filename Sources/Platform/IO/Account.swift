import Glibc

/// Users and groups of the system by name (passwd(5), group(5)).
package enum Account {
    /// nil: there is no such user.
    package static func user(_ name: String) -> UInt32? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var space = [CChar](repeating: 0, count: spaceLimit)
        guard getpwnam_r(name, &entry, &space, space.count, &found) == 0, found != nil else { return nil }
        return entry.pw_uid
    }

    /// nil: there is no such group.
    package static func group(_ name: String) -> UInt32? {
        var entry = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        var space = [CChar](repeating: 0, count: spaceLimit)
        guard getgrnam_r(name, &entry, &space, space.count, &found) == 0, found != nil else { return nil }
        return entry.gr_gid
    }

    /// Of this process: what it may do counts, not who started it.
    package static var own: UInt32 { geteuid() }

    private static let spaceLimit = 64 << 10
}

extension Files {
    /// Without links and dots.
    package static func realPath(_ path: String) throws(IOError) -> String {
        var resolved = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        guard realpath(path, &resolved) != nil else { throw IOError("look at \(path)") }
        return resolved.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } } ?? path
    }

    /// Who else than root could put something else there, in words: in the file, or in a folder above it. nil: nobody.
    /// `path`: a real one.
    package static func foreignWriter(of path: String) throws(IOError) -> String? {
        var place = path
        while true {
            var status = stat()
            guard lstat(place, &status) == 0 else { throw IOError("look at \(place)") }
            // In a sticky folder nobody replaces what is another's; on a file the bit says nothing (inode(7)).
            let isKept = status.st_mode & S_IFMT == S_IFDIR && status.st_mode & S_ISVTX != 0
            let isShared = status.st_mode & 0o022 != 0 && !isKept
            if status.st_uid != 0 { return "\(place) does not belong to root" }
            if isShared { return "others than root may write to \(place)" }
            if place == "/" { return nil }
            place = folder(of: place)
        }
    }

    /// As `foreignWriter(of:)`, of each link on the way and of each link's folder, too. `path`: absolute.
    package static func foreignWriter(following path: String) throws(IOError) -> String? {
        var (place, links) = ("/", 0)
        var steps: [Substring] = path.split(separator: "/").reversed()
        while let step = steps.popLast() {
            if step == "." { continue }
            if step == ".." {
                place = folder(of: place)
                continue
            }
            let next = place == "/" ? "/\(step)" : "\(place)/\(step)"
            var status = stat()
            guard lstat(next, &status) == 0 else { throw IOError("look at \(next)") }
            guard status.st_mode & S_IFMT == S_IFLNK else {
                place = next
                continue
            }
            if status.st_uid != 0 { return "\(next) does not belong to root" }
            if let writer = try foreignWriter(of: place) { return writer }
            links += 1
            guard links <= linkLimit else { throw IOError("follow \(path)", code: ELOOP) }
            let target = try OpenFolder(place).linkTarget(String(step)) ?? ""
            if target.hasPrefix("/") { place = "/" }
            steps += target.split(separator: "/").reversed()
        }
        return try foreignWriter(of: place)
    }

    /// The kernel's own (path_resolution(7)).
    private static let linkLimit = 40
}
