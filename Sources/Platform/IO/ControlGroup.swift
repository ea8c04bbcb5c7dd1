/// The control group that this process is in, as far as its memory goes (cgroups(7), version 2).
package struct ControlGroup: Sendable {
    private let folder: String

    /// nil without control groups of version 2. The arguments are other files for tests.
    package init?(root: String = "/sys/fs/cgroup", membership: String = "/proc/self/cgroup") {
        guard let text = Self.text(membership),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
        else { return nil }
        folder = root + line.dropFirst("0::".count)
    }

    /// What is used and could not be given back, of how much there may be; nil where there is no limit, or where others
    /// share it, whose use says nothing of this process.
    ///
    /// The page cache of files is given back when memory is short, so it does not count; what is shared lives only
    /// there, so it does (kernel: admin-guide/cgroup-v2.rst, `memory.stat`).
    package var memory: (used: Int, limit: Int)? {
        guard let limit = number("memory.max"), isOwn, let current = number("memory.current"),
            let statistics = Self.text(folder + "/memory.stat")
        else { return nil }
        func statistic(_ name: String) -> Int {
            let line = statistics.split(separator: "\n").first { $0.hasPrefix(name + " ") }
            return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? 0
        }
        return (max(0, current - max(0, statistic("file") - statistic("shmem"))), limit)
    }

    private var isOwn: Bool { Self.text(folder + "/cgroup.procs")?.split(separator: "\n").count == 1 }

    private func number(_ name: String) -> Int? {
        Self.text(folder + "/" + name).flatMap { Int($0.prefix { $0 != "\n" }) }
    }

    private static func text(_ path: String) -> String? {
        (try? Files.read(path, limit: 16 << 10)).map { String(decoding: $0, as: UTF8.self) }
    }
}
