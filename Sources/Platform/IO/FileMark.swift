import Glibc

/// Tells whether a file is still the one that was read: who it is, how long, and when it was changed.
package struct FileMark: Sendable, Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int64
    private let modified: [Int]
    private let changed: [Int]

    /// nil: there is no such file, or none that may be looked at.
    package init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modified = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
        changed = [status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }

    /// To be compared after a restart.
    package var text: String {
        ([UInt(device), UInt(inode)].map(String.init) + ([Int(size)] + modified + changed).map(String.init))
            .joined(separator: " ")
    }
}
