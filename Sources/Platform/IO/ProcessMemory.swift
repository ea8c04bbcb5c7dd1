import CLinux
import Glibc

/// The memory of this process as a whole.
package enum ProcessMemory {
    /// Gives back what only starting needed: the heap's free pages, and the code of parsers, migrations and the dynamic
    /// linker, more than half of what is resident by then. Code that runs again comes back from the page cache, page by
    /// page (madvise(2), MADV_DONTNEED of unwritten file mappings).
    package static func forgetStartUp() { CLinux_forget_start_up() }

    /// Bytes that are resident now: the second number of proc_pid_statm(5); nil without /proc.
    package static var resident: Int? {
        guard let bytes = try? Files.read("/proc/self/statm", limit: 4096) else { return nil }
        let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        return numbers.dropFirst().first.flatMap { Int($0) }.map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) }
    }
}
