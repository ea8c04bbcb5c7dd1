import Foundation
import Glibc

/// What a process and its children have used so far.
enum ProcessUsage {
    private static func family(_ process: Int32) -> [Int32] {
        let children = try? String(contentsOfFile: "/proc/\(process)/task/\(process)/children", encoding: .utf8)
        return [process] + (children ?? "").split(separator: " ").compactMap { Int32($0) }.flatMap(family)
    }

    static func cpuSeconds(ofFamily process: Int32) -> Double? {
        let times = family(process).compactMap { cpuSeconds($0) }
        return times.isEmpty ? nil : times.reduce(0, +)
    }

    static func memory(ofFamily process: Int32) throws -> Memory {
        try family(process).map { try memory($0) }.reduce(Memory(residentKiB: 0, proportionalKiB: 0)) {
            Memory(
                residentKiB: $0.residentKiB + $1.residentKiB,
                proportionalKiB: $0.proportionalKiB + $1.proportionalKiB)
        }
    }

    /// User and system time of all its threads, those that ended too, to the nanosecond (clock_getcpuclockid(3)).
    static func cpuSeconds(_ process: Int32) -> Double? {
        var clock = clockid_t()
        var time = timespec()
        guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static var ownCPUSeconds: Double { cpuSeconds(getpid()) ?? 0 }

    struct Memory {
        var residentKiB: Double
        /// Pages that are shared count by their share.
        var proportionalKiB: Double
    }

    static func memory(_ process: Int32) throws -> Memory {
        let text = try String(contentsOfFile: "/proc/\(process)/smaps_rollup", encoding: .utf8)
        func field(_ name: String) -> Double {
            text.split(separator: "\n").first { $0.hasPrefix(name + ":") }.flatMap { line in
                line.split(separator: " ").dropFirst().first.flatMap { Double($0) }
            } ?? 0
        }
        return Memory(residentKiB: field("Rss"), proportionalKiB: field("Pss"))
    }

    /// The generator and its subjects have thousands of sockets open.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(resource, &limit)
    }
}
