import CLinux
import Glibc

/// The kernel's word of what happens in the folders of some files (inotify(7)). Belongs to one lane.
final class FileNotifications {
    enum Event: Equatable {
        /// In place, and perhaps not to its end.
        case written(String)
        case closed(String)
        /// Anything else that may have put another file in its place.
        case stirred
    }

    private static let mask =
        UInt32(IN_MODIFY) | UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM) | UInt32(IN_CREATE)
        | UInt32(IN_DELETE) | UInt32(IN_ATTRIB) | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF)
    /// Bytes of one read; the rest comes with the next.
    private static let readLimit = 16 << 10

    private let descriptor: Descriptor
    /// Folders by the kernel's number.
    private var folders: [Int32: String] = [:]
    private var paths: Set<String> = []

    /// nil where the process may have no more of them.
    init?() {
        let raw = CLinux_file_notifications()
        guard raw >= 0 else { return nil }
        descriptor = Descriptor(owning: raw)
    }

    var rawValue: Int32 { descriptor.rawValue }

    /// Folders that do not exist are left out: asking again later finds them.
    func follow(_ paths: [String]) {
        self.paths = Set(paths)
        let wanted = Set(paths.map { Files.folder(of: $0) })
        for (number, folder) in folders where !wanted.contains(folder) {
            inotify_rm_watch(rawValue, number)
            folders[number] = nil
        }
        for folder in wanted where !folders.values.contains(folder) {
            let number = inotify_add_watch(rawValue, folder, Self.mask)
            if number >= 0 { folders[number] = folder }
        }
    }

    /// All that waits.
    func take() -> [Event] {
        var events: [Event] = []
        var bytes = [UInt8](repeating: 0, count: Self.readLimit)
        while true {
            let count = bytes.withUnsafeMutableBytes { space in
                retrying { Glibc.read(rawValue, space.baseAddress, space.count) }
            }
            guard count > 0 else { return events }
            bytes.withUnsafeBytes { events += read(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer) -> [Event] {
        let headLength = 16
        var events: [Event] = []
        var start = 0
        while start + headLength <= bytes.count {
            let number = bytes.loadUnaligned(fromByteOffset: start, as: Int32.self)
            let mask = bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self)
            let length = Int(bytes.loadUnaligned(fromByteOffset: start + 12, as: UInt32.self))
            let end = min(bytes.count, start + headLength + length)
            let name = String(decoding: bytes[(start + headLength)..<end].prefix { $0 != 0 }, as: UTF8.self)
            start = end
            if mask & UInt32(IN_IGNORED) != 0 { folders[number] = nil }
            if let event = event(mask, folders[number], name) { events.append(event) }
        }
        return events
    }

    private func event(_ mask: UInt32, _ folder: String?, _ name: String) -> Event? {
        let path = folder.map { $0 == "/" ? "/" + name : $0 + "/" + name }
        let isOurs = path.map(paths.contains) ?? false
        // What is written beside our files is nothing to us; a link that is moved there may be.
        if mask & UInt32(IN_MODIFY) != 0 { return isOurs ? path.map { .written($0) } : nil }
        if mask & UInt32(IN_CLOSE_WRITE) != 0 { return isOurs ? path.map { .closed($0) } : nil }
        if mask & UInt32(IN_ATTRIB) != 0, !isOurs, !name.isEmpty { return nil }
        return .stirred
    }
}
