import Foundation
import IO
import TestSupport
import Testing

@Suite struct `The group of a file` {
    @Test func `is given, told from another, and is this process's own where none is named`() throws {
        let folder = try temporaryDirectory()
        let path = try folder.write("", to: "file")
        try Files.setGroup(of: path, to: "daemon")
        #expect(!Files.isOwnOfOtherGroup(path, than: "daemon"))
        #expect(Files.isOwnOfOtherGroup(path, than: "nogroup") && Files.isOwnOfOtherGroup(path, than: nil))
        try Files.setGroup(of: path, to: nil)
        #expect(!Files.isOwnOfOtherGroup(path, than: nil))
        // Somebody else's file is not ours to change.
        try Subprocess.check("chown", ["nobody:daemon", path])
        #expect(!Files.isOwnOfOtherGroup(path, than: nil))
        #expect(throws: IOError.self) { try Files.setGroup(of: path, to: "no-such-group") }
    }
}
