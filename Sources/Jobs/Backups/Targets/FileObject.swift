import Glibc
import IO
import Synchronization

/// An object of a `FileTarget` that is being written, under a temporary name until it is complete.
final class FileObject: SealedObjectWriter {
    private let path: String
    private let target: String
    private let temporary: String
    /// Nothing once it is complete or abandoned.
    private let isOpen = Mutex(true)
    private let file: Descriptor

    init(path: String, target: String) throws(IOError) {
        guard !Files.exists(path) else { throw IOError("create \(path)", code: EEXIST) }
        self.path = path
        self.target = target
        temporary = path + ".partial"
        file = try Files.create(temporary, mode: 0o600)
    }

    deinit { abandon() }

    func append(_ part: SealedPart) throws(BackupError) {
        try attempt { () throws(IOError) in try part.write(to: file) }
    }

    /// What says nothing secret is stored in clear.
    func append(_ document: PublicDocument) throws(BackupError) {
        try attempt { () throws(IOError) in try file.writeAll(document.bytes) }
    }

    func complete() throws(BackupError) {
        try attempt { () throws(IOError) in
            try file.synchronize()
            // A backup's folder has one writer, so nothing can have come between: an object is never replaced.
            guard !Files.exists(path) else { throw IOError("create \(path)", code: EEXIST) }
            try Files.rename(temporary, to: path)
        }
        isOpen.withLock { $0 = false }
    }

    func abandon() {
        let wasOpen = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        // What cannot be removed now has a name that nobody reads; the sweep finds it.
        if wasOpen { try? Files.remove(temporary) }
    }

    private func attempt(_ body: () throws(IOError) -> Void) throws(BackupError) {
        do throws(IOError) {
            try body()
        } catch {
            let advice = error.code == ENOSPC ? "; make room there, or choose another target" : ""
            throw BackupError(.target, "target \(target): \(path): \(error)\(advice)")
        }
    }
}

/// A complete object of a `FileTarget`.
final class StoredFile: StoredObject {
    let length: Int64
    private let path: String
    private let file: Descriptor

    init(_ file: consuming Descriptor, length: Int64, path: String) {
        self.file = file
        self.length = length
        self.path = path
    }

    func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
        do throws(IOError) {
            return try file.read(into: buffer)
        } catch { throw BackupError(.target, "\(path): \(error)") }
    }
}
