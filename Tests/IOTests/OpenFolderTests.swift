import Foundation
import IO
import TestSupport
import Testing

@Suite struct `A folder that is held open` {
    private func real(_ folder: TemporaryDirectory) throws -> String { try Files.realPath(folder.path) }

    private func mode(_ path: String) throws -> UInt32 { try Files.mode(path) }

    @Test func `is not found by a link, wherever in the path it stands`() throws {
        let place = try TemporaryDirectory()
        let path = try real(place)
        try FileManager.default.createDirectory(atPath: path + "/real/tls", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: path + "/turned", withDestinationPath: path + "/real")
        try FileManager.default.createSymbolicLink(atPath: path + "/real/link", withDestinationPath: "tls")
        #expect(try OpenFolder(withoutLinks: path + "/real/tls").look().isFile == false)
        for wrong in ["/turned/tls", "/turned", "/real/link"] {
            let error = #expect(throws: IOError.self) { _ = try OpenFolder(withoutLinks: path + wrong) }
            #expect(error?.description.contains("is a symbolic link") == true, "\(String(describing: error))")
        }
        #expect(throws: IOError.self) { _ = try OpenFolder(withoutLinks: path + "/none") }
        #expect(try OpenFolder(path + "/turned/tls").look(at: "x") == nil)
        #expect(throws: IOError.self) { _ = try OpenFolder(path + "/real").folder("link") }
    }

    @Test func `replaces a link that was planted, and writes nothing behind it`() throws {
        let place = try TemporaryDirectory()
        let victim = try place.write("untouched", to: "victim")
        let path = try real(place)
        for planted in ["server.key", ".server.key.new"] {
            try FileManager.default.createSymbolicLink(atPath: "\(path)/\(planted)", withDestinationPath: victim)
        }
        let folder = try OpenFolder(withoutLinks: path)
        let own = try folder.look()
        #expect(throws: IOError.self) { _ = try folder.read("server.key", limit: 100) }
        #expect(try folder.keep("server.key", as: "server.key.previous") == false)
        let bytes = Array("new".utf8)
        try folder.draft("server.key", bytes.span, mode: 0o640, owner: own.owner, group: own.group)
        #expect(folder.linkTarget("server.key") == victim, "nothing is in its place before it is adopted")
        try folder.adopt("server.key")
        #expect(try place.read("victim") == Array("untouched".utf8))
        #expect(try folder.read("server.key", limit: 100).bytes == bytes)
        #expect(try folder.look(at: "server.key")?.mode == 0o640)
        #expect(try Files.list(path) == ["server.key", "victim"])
    }

    @Test func `keeps what was there under a second name, again and again`() throws {
        let place = try TemporaryDirectory()
        let folder = try OpenFolder(try real(place))
        let own = try folder.look()
        for (number, text) in ["one", "two", "three"].enumerated() {
            let bytes = Array(text.utf8)
            try folder.draft("file", bytes.span, mode: 0o600, owner: own.owner, group: own.group)
            #expect(try folder.keep("file", as: "file.previous") == (number > 0))
            try folder.adopt("file")
        }
        #expect(try place.read("file") == Array("three".utf8) && place.read("file.previous") == Array("two".utf8))
        // What is kept already is no mistake, and leaves nothing behind.
        #expect(try folder.keep("file", as: "file.previous"))
        #expect(try folder.keep("file", as: "file.previous"))
        #expect(try Files.list(place.path) == ["file", "file.previous"])
        try folder.remove("file")
        try folder.remove("file")
        #expect(try folder.look(at: "file") == nil)
    }

    @Test func `opens no pipe, and waits for none`() throws {
        let place = try TemporaryDirectory()
        #expect(mkfifo(place.file("pipe"), 0o600) == 0)
        let folder = try OpenFolder(try real(place))
        let error = #expect(throws: IOError.self) { _ = try folder.read("pipe", limit: 10) }
        #expect(error?.description.hasSuffix("it is no file") == true)
        try place.write(Array(repeating: 7, count: 11), to: "long")
        #expect(throws: IOError.self) { _ = try folder.read("long", limit: 10) }
    }

    @Test func `is held by one at a time`() async throws {
        let place = try TemporaryDirectory()
        let path = place.path
        let first = try OpenFolder(path)
        try first.lock()
        let child = try Subprocess("flock", ["--nonblock", path, "true"])
        #expect(try await child.waitForEnd().status == 1)
    }
}

@Suite struct `A file that root is to trust` {
    @Test func `belongs to root, as does every folder above it, and nobody else may write there`() throws {
        try #require(Account.own == 0, "the tests run as root")
        let place = try TemporaryDirectory()
        let path = try Files.realPath(try place.write("x", to: "file"))
        #expect(chmod(path, 0o644) == 0)
        #expect(try Files.foreignWriter(of: path) == nil)
        #expect(chmod(path, 0o664) == 0)
        #expect(try Files.foreignWriter(of: path) == "others than root may write to \(path)")
        #expect(chmod(path, 0o1664) == 0)
        #expect(try Files.foreignWriter(of: path) == "others than root may write to \(path)", "no folder")
        #expect(chmod(path, 0o644) == 0 && chmod(place.path, 0o777) == 0)
        #expect(try Files.foreignWriter(of: path)?.hasPrefix("others than root may write to") == true)
        #expect(chmod(place.path, 0o755) == 0 && chown(place.path, Account.user("nobody") ?? 0, 0) == 0)
        #expect(try Files.foreignWriter(of: path)?.hasSuffix("does not belong to root") == true)
    }

    @Test func `counts the links on the way to it, and the folders of these`() throws {
        try #require(Account.own == 0, "the tests run as root")
        let nobody = try #require(Account.user("nobody"))
        let (place, other) = (try TemporaryDirectory(), try TemporaryDirectory())
        let file = try place.write("x", to: "file")
        let (link, far) = (other.file("link"), place.file("far"))
        #expect(symlink(file, link) == 0 && symlink("../\(Files.name(of: other.path))/./link", far) == 0)
        for path in [file, link, far] { #expect(try Files.foreignWriter(following: path) == nil, "\(path)") }
        #expect(lchown(link, nobody, 0) == 0)
        #expect(try Files.foreignWriter(following: far)?.hasSuffix("link does not belong to root") == true)
        #expect(lchown(link, 0, 0) == 0 && chown(other.path, nobody, 0) == 0)
        #expect(try Files.foreignWriter(following: far)?.hasPrefix(try Files.realPath(other.path)) == true)
        #expect(try Files.foreignWriter(following: file) == nil)
        #expect(chown(file, nobody, 0) == 0 && chown(other.path, 0, 0) == 0)
        #expect(try Files.foreignWriter(following: far)?.hasSuffix("file does not belong to root") == true)
        #expect(symlink("loop", place.file("loop")) == 0)
        #expect(throws: IOError.self) { try Files.foreignWriter(following: place.file("loop")) }
    }

    @Test func `users and groups have numbers`() {
        #expect(Account.user("root") == 0 && Account.group("root") == 0)
        #expect(Account.user("no such user") == nil && Account.group("no such group") == nil)
    }
}
