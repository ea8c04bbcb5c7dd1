import Foundation
import IO
import TestSupport
import Testing

@testable import Management

@Suite struct `The number of a report` {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "generation-\(UUID().uuidString)").path
        try Files.makeDirectory(folder, mode: 0o700)
    }

    private var path: String { folder + "/" + GenerationCount.name }

    @Test func `counts on over restarts, and is on the disk before it is used`() throws {
        defer { try? Files.removeTree(folder) }
        var count = GenerationCount(stateDirectory: folder)
        #expect(count.next() == (1, nil))
        #expect(count.next() == (2, nil))
        var restarted = GenerationCount(stateDirectory: folder)
        #expect(restarted.next() == (3, nil))
        #expect(try Files.mode(path) & 0o777 == 0o600)
    }

    @Test(arguments: ["", "{", #"{"generation":0,"schema":1}"#, #"{"generation":5,"schema":2}"#, #"{"schema":1}"#])
    func `begins anew, and says so, where the file is damaged`(text: String) throws {
        defer { try? Files.removeTree(folder) }
        try Files.write(Array(text.utf8), to: path, mode: 0o600)
        var count = GenerationCount(stateDirectory: folder)
        let (first, flaw) = count.next()
        #expect(first == 1 && flaw?.contains("begins anew") == true)
        #expect(count.next() == (2, nil))
    }

    @Test func `counts on in memory where the disk refuses, and says so`() throws {
        defer { try? Files.removeTree(folder) }
        var count = GenerationCount(stateDirectory: folder)
        #expect(count.next() == (1, nil))
        try Files.removeTree(folder)
        let (second, flaw) = count.next()
        #expect(second == 2 && flaw != nil)
        try Files.makeDirectory(folder, mode: 0o700)
        #expect(count.next() == (3, nil))
    }
}
