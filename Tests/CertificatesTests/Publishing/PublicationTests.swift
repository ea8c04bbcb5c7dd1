import Foundation
import IO
import OpenSSL
import TestSupport
import Testing

@testable import Certificates

@Suite(.serialized) struct `Publishing a certificate` {
    @Test func `writes pair and authorities with owner and permissions, and tells the reader once`() throws {
        let fixture = try PublicationFixture()
        let identity = try fixture.renew()
        var configuration = fixture.configuration
        (configuration.owner, configuration.group, configuration.keyMode) = ("nobody", "root", 0o640)
        let record = try fixture.publication(configuration).run()
        #expect(record.outcome == .published && record.hasChanged && record.serial == identity.leaf.serial, "\(record)")
        #expect(try fixture.pair().chain == identity.chain)
        let authorities = try Certificate.parsePEM(try Files.read(fixture.directory + "/root.crt", limit: 1 << 20))
        #expect(authorities == (try fixture.authority.trust()).certificates)
        let folder = try OpenFolder(fixture.directory)
        let nobody = try #require(Account.user("nobody"))
        for (name, mode) in [("server.crt", 0o644), ("server.key", 0o640), ("root.crt", 0o644)] as [(String, UInt32)] {
            let entry = try #require(try folder.look(at: name))
            #expect(entry.mode == mode && entry.owner == nobody && entry.group == 0, "\(name)")
        }
        #expect(try Files.list(fixture.directory) == ["root.crt", "server.crt", "server.key"])
        #expect(fixture.reloads == 1)
        let written = try OpenFolder(fixture.statePath + "/publish")
        #expect(PublicationRecord.read("database", in: written) == record)
    }

    @Test func `does nothing when nothing is new, and mends what somebody has changed`() throws {
        let fixture = try PublicationFixture()
        try fixture.renew()
        let publication = try fixture.publication()
        _ = try publication.run()
        let before = try fixture.inode("server.key")
        let again = try publication.run()
        #expect(again.outcome == .published && !again.hasChanged)
        #expect(try fixture.inode("server.key") == before && fixture.reloads == 1)
        let changes: [(String) -> Bool] = [
            { chmod($0 + "/server.key", 0o644) == 0 }, { unlink($0 + "/root.crt") == 0 },
            { chown($0 + "/server.crt", 12345, 0) == 0 },
            { (try? Data("x".utf8).write(to: URL(fileURLWithPath: $0 + "/server.crt"))) != nil },
            { unlink($0 + "/server.crt") == 0 && symlink("/etc/passwd", $0 + "/server.crt") == 0 },
        ]
        for (number, change) in changes.enumerated() {
            #expect(change(fixture.directory))
            let mended = try publication.run()
            #expect(mended.outcome == .published && mended.hasChanged, "\(number)")
            _ = try fixture.pair()
            #expect(fixture.reloads == number + 2)
        }
        #expect(try Files.read("/etc/passwd", limit: 1 << 20).starts(with: Array("root:".utf8)))
    }

    @Test func `follows a renewal, keeps the files of before, and puts them back on demand`() throws {
        let fixture = try PublicationFixture()
        let publication = try fixture.publication()
        let first = try fixture.renew()
        _ = try publication.run()
        #expect(try publication.undo().outcome == .failed, "there is nothing to go back to")
        let second = try fixture.renew()
        _ = try publication.run()
        #expect(try fixture.pair().leaf == second.leaf)
        let previous = try TLSIdentity(
            chainFile: try Files.read(fixture.directory + "/server.crt.previous", limit: 1 << 20),
            keyFile: fixture.directory + "/server.key.previous")
        #expect(previous.leaf == first.leaf)
        let count = fixture.reloads
        let undone = try publication.undo()
        #expect(undone.outcome == .withheld && undone.serial == second.leaf.serial && fixture.reloads == count + 1)
        #expect(try fixture.pair().leaf == first.leaf)
        let quiet = try publication.run()
        #expect(quiet.outcome == .withheld && !quiet.hasChanged, "the unit does not bring it back")
        #expect(try fixture.pair().leaf == first.leaf)
        #expect(try publication.run(isDemanded: true).outcome == .published)
        #expect(try fixture.pair().leaf == second.leaf)
        _ = try publication.undo()
        let third = try fixture.renew()
        #expect(try publication.run().outcome == .published, "another one is not withheld")
        #expect(try fixture.pair().leaf == third.leaf)
    }

    @Test func `is not done before the reload command is, and tries it again`() throws {
        let fixture = try PublicationFixture()
        let identity = try fixture.renew()
        var configuration = fixture.configuration
        configuration.reload = ["/bin/sh", "-c", "exit 3"]
        let failed = try fixture.publication(configuration).run()
        #expect(failed.outcome == .failed && failed.reason == "reload: /bin/sh ended with exit status 3")
        #expect(try fixture.pair().leaf == identity.leaf)
        configuration.reload = ["/no/such/program"]
        #expect(
            try fixture.publication(configuration).run().reason
                == "reload: start /no/such/program: No such file or directory")
        configuration.reload = ["/bin/sh", "-c", "sleep 600 & sleep 600"]
        configuration.reloadTimeout = .seconds(1)
        let late = try fixture.publication(configuration).run()
        #expect(late.reason == "reload: /bin/sh did not end within 1 s, and was killed")
        let record = try fixture.publication().run()
        #expect(record.outcome == .published && record.hasChanged && fixture.reloads == 1, "the files were there")
    }

    @Test func `refuses a folder in which others could interfere`() throws {
        let fixture = try PublicationFixture()
        try fixture.renew()
        func reason(_ change: (inout PublicationConfiguration) -> Void = { _ in }) throws -> String? {
            var configuration = fixture.configuration
            change(&configuration)
            let record = try fixture.publication(configuration).run()
            #expect(record.outcome == .failed)
            return record.reason
        }
        let directory = fixture.directory
        #expect(chmod(directory, 0o777) == 0)
        #expect(try reason()?.contains("everybody may write there") == true)
        #expect(chmod(directory, 0o775) == 0 && chown(directory, 0, 12345) == 0)
        #expect(try reason { $0.group = "root" }?.contains("a group may write there that is not the files'") == true)
        #expect(chmod(directory, 0o755) == 0 && chown(directory, 12345, 0) == 0)
        #expect(try reason { $0.owner = "root" }?.contains("neither root nor the owner of the files") == true)
        #expect(chown(directory, 0, 0) == 0)
        let link = directory + "-link"
        #expect(symlink(directory, link) == 0)
        #expect(try reason { $0.directory = link }?.contains("is a symbolic link") == true)
        #expect(try reason { $0.directory += "/none" }?.contains("No such file or directory") == true)
        #expect(try reason { $0.owner = "no-such-user" }?.contains("there is no such user") == true)
        #expect(try Files.list(directory).isEmpty && fixture.reloads == 0)
    }

    @Test func `reads nothing that the owner of the state folder could not read`() throws {
        let fixture = try PublicationFixture()
        try fixture.renew()
        let nobody = try #require(Account.user("nobody"))
        // The daemon's user plants somebody else's pair: links, and files of root's.
        try Subprocess.check("chown", ["-R", "nobody", fixture.statePath])
        let generation = fixture.statePath + "/certificates/database/g1"
        #expect(chown(generation + "/key.pem", 0, 0) == 0)
        let foreign = try fixture.publication().run()
        #expect(foreign.outcome == .failed)
        #expect(foreign.reason?.contains("does not belong to the owner of the state folder") == true, "\(foreign)")
        #expect(chown(generation + "/key.pem", nobody, 0) == 0)
        #expect(rename(generation + "/chain.pem", fixture.place.file("chain")) == 0)
        #expect(symlink(fixture.place.file("chain"), generation + "/chain.pem") == 0)
        #expect(try fixture.publication().run().outcome == .failed)
        #expect(unlink(generation + "/chain.pem") == 0)
        #expect(rename(fixture.place.file("chain"), generation + "/chain.pem") == 0)
        #expect(try fixture.publication().run().outcome == .published)
        let record = try FileManager.default.attributesOfItem(atPath: fixture.statePath + "/publish/database.json")
        #expect((record[.ownerAccountID] as? NSNumber)?.uint32Value == nobody, "the daemon reads how it went")
        // Where the record is to be written the daemon's user has put a link.
        #expect(rename(fixture.statePath + "/publish", fixture.place.file("elsewhere")) == 0)
        #expect(symlink(fixture.place.file("elsewhere"), fixture.statePath + "/publish") == 0)
        #expect(throws: PublicationError.self) { _ = try fixture.publication().run() }
    }

    @Test func `never puts a pair there that does not belong together`() throws {
        let fixture = try PublicationFixture()
        let identity = try fixture.renew()
        _ = try fixture.publication().run()
        try fixture.renew()
        let wrong = try fixture.authority.server()
        try FileManager.default.removeItem(atPath: fixture.statePath + "/certificates/database/g2/key.pem")
        try FileManager.default.copyItem(
            atPath: wrong.keyPath, toPath: fixture.statePath + "/certificates/database/g2/key.pem")
        let record = try fixture.publication().run()
        #expect(record.outcome == .failed && record.reason?.contains("the key does not belong to") == true, "\(record)")
        #expect(try fixture.pair().leaf == identity.leaf)
    }

    @Test func `takes a pair that somebody else renews from its files`() throws {
        let fixture = try PublicationFixture()
        let identity = try fixture.authority.server()
        var configuration = fixture.configuration
        configuration.names.authorities = nil
        let role = RoleConfiguration(
            name: "own", source: .files(chain: identity.chainPath, key: identity.keyPath), publication: configuration)
        let publication = try #require(Publication(role, stateDirectory: fixture.statePath))
        #expect(try publication.run().outcome == .published)
        #expect(try fixture.pair().leaf == (try identity.certificate()))
        #expect(try Files.list(fixture.directory) == ["server.crt", "server.key"])
        let expired = try fixture.authority.issue(name: "x", usage: [.server], validity: -100 ... -10)
        let other = RoleConfiguration(
            name: "own", source: .files(chain: expired.chainPath, key: expired.keyPath), publication: configuration)
        let refused = try #require(Publication(other, stateDirectory: fixture.statePath)).run()
        #expect(refused.outcome == .failed && refused.reason?.contains("the certificate has expired") == true)
    }

    @Test func `lends nobody who owns the folder of such files the eyes of root`() throws {
        let fixture = try PublicationFixture()
        let identity = try fixture.authority.server()
        var configuration = fixture.configuration
        configuration.names.authorities = nil
        let place = fixture.place.file("brought")
        let role = RoleConfiguration(
            name: "own", source: .files(chain: place + "/chain.pem", key: place + "/key.pem"),
            publication: configuration)
        let publication = try #require(Publication(role, stateDirectory: fixture.statePath))
        let nobody = try #require(Account.user("nobody"))
        try Files.makeDirectory(place, mode: 0o755)
        let names = [("chain.pem", identity.chainPath), ("key.pem", identity.keyPath)]
        for (name, path) in names { #expect(symlink(path, place + "/" + name) == 0) }
        // In a folder of somebody else's: links, then files of root's.
        #expect(chown(place, nobody, 0) == 0)
        let linked = try publication.run()
        #expect(linked.outcome == .failed && linked.reason?.contains("chain.pem") == true, "\(linked)")
        for (name, path) in names {
            #expect(unlink(place + "/" + name) == 0)
            try FileManager.default.copyItem(atPath: path, toPath: place + "/" + name)
        }
        #expect(chown(place + "/chain.pem", nobody, 0) == 0)
        let foreign = try publication.run()
        #expect(
            foreign.reason?.contains("key.pem does not belong to the owner of its folder") == true, "\(foreign)")
        #expect(chown(place + "/key.pem", nobody, 0) == 0)
        #expect(try publication.run().outcome == .published)
        #expect(try fixture.pair().leaf == (try identity.certificate()))
        // Links of root's, where nobody else puts any.
        #expect(chown(place, 0, 0) == 0)
        for (name, path) in names {
            #expect(unlink(place + "/" + name) == 0 && symlink(path, place + "/" + name) == 0)
        }
        #expect(try publication.run().outcome == .published)
    }
}
