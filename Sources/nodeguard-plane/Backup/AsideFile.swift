import Glibc

/// A file that is there whole or not at all: written beside its name and linked to it at the end. Never in the place of
/// another.
final class AsideFile {
    private let path: String
    private let temporary: String
    private var descriptor: CInt

    init(_ path: String) throws {
        self.path = path
        temporary = "\(path).new.\(getpid())"
        if StateFile.exists(path) { throw Self.exists(path) }
        unlink(temporary)
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StateFile.problem("create", temporary) }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporary)
    }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw StateFile.problem("write", temporary) }
            rest = rest.dropFirst(count)
        }
    }

    func finish() throws {
        guard fsync(descriptor) == 0 else { throw StateFile.problem("fsync", temporary) }
        guard link(temporary, path) == 0 else {
            throw errno == EEXIST ? Self.exists(path) : StateFile.problem("link to", path)
        }
        close(descriptor)
        descriptor = -1
        unlink(temporary)
        try StateFile.synchronizeFolder(of: path)
    }

    private static func exists(_ path: String) -> PlaneProblem {
        PlaneProblem("\(path) exists", remedy: "nothing was written; name another file")
    }
}

/// A file of any size, read from its beginning.
final class InputFile {
    private let path: String
    private let descriptor: CInt

    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw StateFile.problem("open", path) }
    }

    deinit { close(descriptor) }

    /// Exactly so many; fewer only at the end.
    func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: filled), count - filled)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw StateFile.problem("read", path) }
            if got == 0 { break }
            filled += got
        }
        return Array(bytes[..<filled])
    }
}
