import CLinux

/// The memory of this process as a whole.
package enum ProcessMemory {
    /// Gives back what only starting needed: the heap's free pages, and the code of parsers, migrations and the dynamic
    /// linker, more than half of what is resident by then. Code that runs again comes back from the page cache, page by
    /// page (madvise(2), MADV_DONTNEED of unwritten file mappings).
    package static func forgetStartUp() { CLinux_forget_start_up() }
}
