import Foundation
import OpenSSL
import PlaneAPI
import PlaneClient
import TestSupport
import Testing

@testable import Certificates

@Suite struct `The join bundle's file` {
    private let bundle = JoinBundle(
        url: "https://plane.example", cluster: "alpha", node: "db-1",
        pins: ["sha256:" + String(repeating: "0", count: 64)], token: "the-token")

    private var digest: String { Hexadecimal.text(Digest.sha256(Array(bundle.token.utf8))) }

    private func bundle(_ finding: JoinSource.Finding) -> JoinBundle? {
        guard case .offer(let offer) = finding else { return nil }
        return JoinBundle(
            url: offer.bundle.url, cluster: offer.bundle.cluster, node: offer.bundle.node, pins: offer.bundle.pins,
            token: String(decoding: offer.token.withSecret { $0.copy() }, as: UTF8.self))
    }

    private func source(_ state: TemporaryDirectory, path: String? = nil) -> JoinSource {
        JoinSource(path: path ?? state.file("bundle"), stateDirectory: state.path)
    }

    @Test func `is read when it is there, and removed when it was used`() throws {
        let state = try TemporaryDirectory()
        #expect(source(state).look(joinedWith: nil) == .absent)
        try state.write(try bundle.text + "\n", to: "bundle")
        #expect(bundle(source(state).look(joinedWith: nil)) == bundle)
        #expect(source(state).consume(digest) == nil)
        #expect(source(state).look(joinedWith: nil) == .absent)
        #expect(source(state).consume(digest) == nil, "gone already")
    }

    @Test func `is known as spent by the identity that it gave, when the machine died before it was removed`() throws {
        let state = try TemporaryDirectory()
        try state.write(try bundle.text, to: "bundle")
        #expect(source(state).look(joinedWith: digest) == .spent)
    }

    @Test func `that cannot be removed is recorded as spent, without its token`() throws {
        let state = try TemporaryDirectory()
        // Names in /proc cannot be removed, not even by root.
        try state.write(try bundle.text, to: "real")
        let descriptor = open(state.file("real"), O_RDONLY)
        defer { close(descriptor) }
        let fixed = source(state, path: "/proc/self/fd/\(descriptor)")
        #expect(bundle(fixed.look(joinedWith: nil)) == bundle)
        #expect(fixed.consume(digest) != nil)
        #expect(fixed.look(joinedWith: nil) == .spent)
        let record = String(decoding: try state.read("join/spent"), as: UTF8.self)
        #expect(record == digest + "\n")
    }

    @Test func `stays when another bundle has taken its place`() throws {
        let state = try TemporaryDirectory()
        try state.write(try bundle.text, to: "bundle")
        #expect(source(state).consume("another token's digest") == nil)
        #expect(bundle(source(state).look(joinedWith: nil)) == bundle)
    }

    @Test func `that is no bundle is said so without its text`() throws {
        let state = try TemporaryDirectory()
        for text in ["secret", "nodeguard-join:1:secret!", String(repeating: "s", count: 100_000)] {
            try state.write(text, to: "bundle")
            guard case .unreadable(let reason) = source(state).look(joinedWith: nil) else {
                Issue.record("taken")
                continue
            }
            #expect(!reason.contains("secret") && !reason.contains("sss"))
        }
        try state.write([0xFF, 0xFE], to: "bundle")
        guard case .unreadable = source(state).look(joinedWith: nil) else {
            Issue.record("taken")
            return
        }
        let folder = JoinSource(path: state.path, stateDirectory: state.path)
        guard case .unreadable = folder.look(joinedWith: nil) else {
            Issue.record("a folder was taken")
            return
        }
    }
}
