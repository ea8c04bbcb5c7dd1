import Glibc
import Synchronization
import TestSupport
import Testing

@testable import IO

@Suite struct `A watch over files` {
    /// What the files held each time that the watch told of them.
    private final class Told: Sendable {
        private let contents = Mutex<[[String?]]>([])
        let paths: [String]

        init(_ paths: [String]) { self.paths = paths }

        func read() {
            let found = paths.map { path in
                (try? Files.read(path, limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
            }
            contents.withLock { $0.append(found) }
        }

        var all: [[String?]] { contents.withLock { $0 } }

        func waits(for last: [String?]) async -> Bool { await eventually(within: 60) { all.last == last } }
    }

    private let folder: TemporaryDirectory
    private let told: Told

    init() throws {
        folder = try temporaryDirectory()
        told = Told([folder.file("chain.pem"), folder.file("key.pem")])
    }

    private func watch(sweep: Duration = .seconds(600), quiet: Duration = .milliseconds(100)) async -> FileWatch {
        let watch = FileWatch(quiet: quiet, sweep: sweep) { [told] in told.read() }
        await watch.watch(told.paths)
        return watch
    }

    @Test func `tells of files that are renamed into place, of both at once`() async throws {
        let watch = await watch()
        for name in ["chain.pem", "key.pem"] {
            try folder.write("new " + name, to: name + ".new")
            try Files.rename(folder.file(name + ".new"), to: folder.file(name))
        }
        #expect(await told.waits(for: ["new chain.pem", "new key.pem"]))
        await watch.stop()
        #expect(told.all.count <= 2)
    }

    @Test func `tells of a file that is written in place when its writer has closed it, and not before`() async throws {
        try folder.write("old", to: "chain.pem")
        let watch = await watch()
        let file = open(folder.file("chain.pem"), O_WRONLY | O_TRUNC)
        #expect(write(file, "first half, ", 12) == 12)
        // Another file shows that a quiet spell has passed for all of them.
        let other = Told([folder.file("marker")])
        let second = FileWatch(quiet: .milliseconds(100)) { other.read() }
        await second.watch(other.paths)
        try folder.write("x", to: "marker")
        #expect(await other.waits(for: ["x"]))
        #expect(told.all == [], "the file is still open")
        #expect(write(file, "second half", 11) == 11)
        close(file)
        #expect(await told.waits(for: ["first half, second half", nil]))
        #expect(told.all.count == 1)
        await watch.stop()
        await second.stop()
    }

    @Test func `tells of a link that is moved, as secrets of an orchestrator are`() async throws {
        for generation in ["one", "two"] {
            try Files.makeDirectory(folder.file(generation), mode: 0o700)
            for name in ["chain.pem", "key.pem"] { try folder.write(generation, to: "\(generation)/\(name)") }
        }
        try Files.replaceSymbolicLink(folder.file("..data"), to: "one")
        for name in ["chain.pem", "key.pem"] {
            try Files.replaceSymbolicLink(folder.file(name), to: "..data/" + name)
        }
        let watch = await watch()
        try Files.replaceSymbolicLink(folder.file("..data"), to: "two")
        #expect(await told.waits(for: ["two", "two"]))
        await watch.stop()
    }

    @Test func `says nothing of other files, and nothing twice`() async throws {
        try folder.write("old", to: "chain.pem")
        let watch = await watch()
        for number in 0..<50 { try folder.write("noise", to: "other-\(number)") }
        try folder.write("new", to: "key.pem")
        #expect(await told.waits(for: ["old", "new"]))
        #expect(told.all.count == 1)
        await watch.stop()
    }

    @Test func `finds by its sweep what the kernel does not tell: a folder that was not there, a link's far end`()
        async throws
    {
        let watch = FileWatch(quiet: .milliseconds(50), sweep: .milliseconds(100)) { [told] in told.read() }
        let far = try temporaryDirectory()
        try far.write("one", to: "chain.pem")
        try Files.replaceSymbolicLink(folder.file("chain.pem"), to: far.file("chain.pem"))
        let later = folder.file("later/ca.pem")
        await watch.watch(told.paths + [later])
        try far.write("two", to: "chain.pem")
        #expect(await told.waits(for: ["two", nil]))
        let count = told.all.count
        try Files.makeDirectory(folder.file("later"), mode: 0o700)
        try folder.write("x", to: "later/ca.pem")
        #expect(await eventually(within: 60) { told.all.count > count })
        await watch.stop()
    }

    @Test func `says nothing after its end, and leaves no descriptor`() async throws {
        await #expect(processExitsWith: .success) {
            let folder = try temporaryDirectory()
            var counts: [Int] = []
            for _ in 0..<5 {
                let count = Mutex(0)
                let watch = FileWatch(quiet: .milliseconds(1)) { count.withLock { $0 += 1 } }
                await watch.watch([folder.file("a")])
                await watch.stop()
                try folder.write("x", to: "a")
                #expect(count.withLock { $0 } == 0)
                counts.append(try Files.list("/proc/self/fd").count)
            }
            let settles = try await eventually(within: 60) { try Files.list("/proc/self/fd").count <= counts[1] }
            #expect(settles)
        }
    }
}
