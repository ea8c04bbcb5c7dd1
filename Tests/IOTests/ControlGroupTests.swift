import Foundation
import TestSupport
import Testing

@testable import IO

@Suite struct `A control group` {
    private func group(
        _ files: [String: String], membership: String = "5:devices:/x\n0::/system.slice/nodeguard.service\n"
    ) throws -> (ControlGroup?, TemporaryDirectory) {
        let folder = try temporaryDirectory()
        let path = folder.file("root/system.slice/nodeguard.service")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for (name, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name)) }
        try Data(membership.utf8).write(to: URL(fileURLWithPath: folder.file("membership")))
        return (ControlGroup(root: folder.file("root"), membership: folder.file("membership")), folder)
    }

    private static let full = [
        "memory.max": "1000000\n", "memory.current": "700000\n", "cgroup.procs": "17\n",
        "memory.stat": "anon 100000\nfile 300000\nkernel 5\nshmem 50000\nfile_mapped 7\n",
    ]

    @Test func `counts what cannot be given back`() throws {
        let (group, folder) = try group(Self.full)
        let memory = try #require(group?.memory)
        #expect(memory.used == 450_000 && memory.limit == 1_000_000)
        withExtendedLifetime(folder) {}
    }

    @Test func `has no memory to speak of without a limit, or without its files`() throws {
        let unlimited = try group(Self.full.merging(["memory.max": "max\n"]) { $1 })
        #expect(unlimited.0 != nil && unlimited.0?.memory == nil)
        let shared = try group(Self.full.merging(["cgroup.procs": "17\n18\n"]) { $1 })
        #expect(shared.0 != nil && shared.0?.memory == nil)
        let empty = try group([:])
        #expect(empty.0 != nil && empty.0?.memory == nil)
        let old = try group([:], membership: "4:memory:/x\n")
        #expect(old.0 == nil)
        #expect(ControlGroup(root: "/nowhere", membership: "/nowhere") == nil)
    }

    @Test func `knows what is resident of this process`() throws {
        let before = try #require(ProcessMemory.resident)
        let block = [UInt8](repeating: 1, count: 64 << 20)
        let after = try #require(ProcessMemory.resident)
        #expect(before > 1 << 20 && after > before + 33_554_432)
        #expect(block.last == 1)
    }
}
