import Glibc
import TestSupport
import Testing

@testable import IO

@Suite struct `A file` {
    private let directory: TemporaryDirectory
    private var folder: String { directory.file("files") }

    init() throws { directory = try TemporaryDirectory() }

    @Test func `is written whole, with its mode, and replaces the old one`() throws {
        try Files.makeDirectory(folder + "/a/b", mode: 0o700)
        let path = folder + "/a/b/file"
        try Files.write([1, 2, 3], to: path, mode: 0o600)
        try Files.write([4], to: path, mode: 0o640)
        #expect(try Files.read(path, limit: 10) == [4])
        #expect(try Files.list(folder + "/a/b") == ["file"])
        var status = stat()
        stat(path, &status)
        #expect(status.st_mode & 0o777 == 0o640)
    }

    @Test func `that is longer than its limit is refused, not cut`() throws {
        try Files.makeDirectory(folder, mode: 0o700)
        try Files.write([1, 2, 3], to: folder + "/f", mode: 0o600)
        #expect(try Files.read(folder + "/f", limit: 3).count == 3)
        #expect(throws: IOError("read \(folder)/f", code: EFBIG)) { try Files.read(folder + "/f", limit: 2) }
    }

    @Test func `that cannot be written leaves the old one and nothing else`() throws {
        try Files.makeDirectory(folder, mode: 0o700)
        try Files.makeDirectory(folder + "/f", mode: 0o700)
        try Files.write([1], to: folder + "/f/x", mode: 0o600)
        #expect(throws: IOError.self) { try Files.write([1], to: folder + "/f", mode: 0o600) }
        #expect(try Files.read(folder + "/f/x", limit: 3) == [1])
    }

    @Test func `folder that a symbolic link stands for is as good as one`() throws {
        try Files.makeDirectory(folder + "/real", mode: 0o700)
        try Files.replaceSymbolicLink(folder + "/link", to: "real")
        try Files.makeDirectory(folder + "/link", mode: 0o700)
        try Files.makeDirectory(folder + "/link/a/b", mode: 0o700)
        #expect(Files.isDirectory(folder + "/real/a/b"))
        try Files.write([1], to: folder + "/file", mode: 0o600)
        #expect(throws: IOError.self) { try Files.makeDirectory(folder + "/file", mode: 0o700) }
        #expect(throws: IOError.self) { try Files.makeDirectory(folder + "/file/a", mode: 0o700) }
        // The tree is removed, not what a link in it points at.
        try Files.replaceSymbolicLink(folder + "/real/out", to: folder + "/file")
        try Files.removeTree(folder + "/real")
        #expect(Files.exists(folder + "/file"))
    }

    @Test func `lock is held once`() throws {
        try Files.makeDirectory(folder, mode: 0o700)
        let first = try Files.lock(folder + "/lock")
        #expect(throws: IOError("lock \(folder)/lock", code: EWOULDBLOCK)) { _ = try Files.lock(folder + "/lock") }
        #expect(first.rawValue >= 0)
    }

    @Test func `link is replaced in one step`() throws {
        try Files.makeDirectory(folder, mode: 0o700)
        try Files.replaceSymbolicLink(folder + "/current", to: "g1")
        try Files.replaceSymbolicLink(folder + "/current", to: "g2")
        #expect(Files.symbolicLinkTarget(folder + "/current") == "g2")
        #expect(try Files.list(folder) == ["current"])
    }
}

@Suite struct `An alarm` {
    @Test func `that rang before anybody waited wakes the next who does`() async {
        let alarm = Alarm(label: "test")
        alarm.ring()
        #expect(await alarm.wait(for: .seconds(60)) == .rung)
        #expect(await alarm.wait(for: .milliseconds(1)) == .elapsed)
    }

    @Test func `waits as long as it was told, by either clock, and no ring of before shortens the next wait`() async {
        let alarm = Alarm(label: "test")
        for _ in 0..<3 {
            alarm.ring()
            #expect(await alarm.wait(for: .milliseconds(5)) == .rung)
            let start = ContinuousClock.now
            #expect(await alarm.wait(for: .milliseconds(50)) == .elapsed)
            #expect(ContinuousClock.now - start >= .milliseconds(50))
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let moment = Double(now.tv_sec) + Double(now.tv_nsec) / 1e9 + 0.05
        #expect(await alarm.wait(untilUnixSeconds: moment) == .elapsed)
        clock_gettime(CLOCK_REALTIME, &now)
        #expect(Double(now.tv_sec) + Double(now.tv_nsec) / 1e9 >= moment)
        #expect(await alarm.wait(untilUnixSeconds: 0) == .elapsed)
    }

    @Test func `wakes its waiter when it rings or when the task is cancelled`() async {
        let alarm = Alarm(label: "test")
        let waiting = Task { await alarm.wait(for: .seconds(60)) }
        alarm.ring()
        #expect(await waiting.value == .rung)
        let cancelled = Task { await alarm.wait(for: .seconds(60)) }
        cancelled.cancel()
        #expect(await cancelled.value == .cancelled)
    }
}

@Suite struct `A lane buffer` {
    @Test func `gives back what was put in, through any mix of appending and consuming`() {
        let buffer = LaneBuffer(capacity: 16)
        var expected: [UInt8] = []
        var next: UInt8 = 0
        for _ in 0..<10_000 {
            let count = Int.random(in: 0...buffer.freeCount)
            let bytes = (0..<count).map { _ in
                next &+= 1
                return next
            }
            buffer.append(bytes)
            expected += bytes
            let taken = Int.random(in: 0...buffer.count)
            // An #expect of each would take a thread of the pool for seconds.
            if buffer.bytes(limit: taken) != Array(expected.prefix(taken)) { Issue.record("wrong bytes") }
            buffer.consume(taken)
            expected.removeFirst(taken)
        }
        #expect(buffer.bytes() == expected)
    }
}
