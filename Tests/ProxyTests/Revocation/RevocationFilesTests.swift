import Foundation
import IO
import OpenSSL
import TestSupport
import Testing

@testable import Proxy

@Suite struct `The files of a listener` {
    private let folder: TemporaryDirectory
    private let files: RevocationFiles

    init() throws {
        folder = try temporaryDirectory()
        var listener = try Stage.listener(.tcp, backend: [.ipv4([127, 0, 0, 1], port: 1)])
        listener.revocation = RevocationConfiguration(files: [folder.file("crl")])
        listener.denyLists = [folder.file("denied")]
        files = RevocationFiles([listener])
        try folder.write("", to: "denied")
    }

    private func put(_ number: Int?, from begin: Double = -3600) throws {
        try folder.write(
            Stage.authority.get().revocationList {
                $0.number = number
                $0.validity = begin...90_000
            }, to: "crl")
    }

    private func look(isForced: Bool = false) throws -> [RevocationFiles.Finding] {
        let issuer = try Stage.authority.get().intermediate.certificate()
        return files.look(isForced: isForced) { _ in [issuer] }
    }

    private var number: String? { files.lists(of: [folder.file("crl")])?.first?.number }

    @Test func `are read once, and again when they change`() throws {
        try put(1)
        #expect(try look(isForced: true).allSatisfy { $0.refusal == nil })
        #expect(number == "1")
        #expect(try look().isEmpty)
        try put(2)
        #expect(try look().map(\.kind) == [.revocationLists])
        #expect(number == "2")
        try folder.write("common-name shop", to: "denied")
        #expect(try look().map(\.kind) == [.denyList])
        #expect(files.denyLists(of: [folder.file("denied")])?.first?.count == 1)
    }

    @Test func `count on while a new one is wrong, which is told once`() throws {
        try put(7)
        _ = try look(isForced: true)
        try folder.write("garbage", to: "crl")
        try folder.write("garbage", to: "denied")
        #expect(try look().isEmpty, "it may be half written")
        #expect(try look().count == 2)
        #expect(try look().isEmpty)
        #expect(number == "7" && files.flaws.count == 2)
        try put(8)
        try folder.write("", to: "denied")
        #expect(try look().allSatisfy { $0.refusal == nil })
        #expect(number == "8" && files.flaws.isEmpty)
    }

    @Test func `count on when they are gone`() throws {
        try put(1)
        _ = try look(isForced: true)
        try FileManager.default.removeItem(atPath: folder.file("crl"))
        #expect(try look().isEmpty, "it may be about to be put back")
        #expect(try look().first?.refusal?.contains("is not there") == true)
        #expect(try look().isEmpty)
        #expect(number == "1")
        try put(2)
        #expect(try look().count == 1)
        #expect(number == "2")
    }

    @Test func `never go back to an older list`() throws {
        try put(5)
        _ = try look(isForced: true)
        try put(4, from: -60)
        #expect(try look(isForced: true).first?.refusal?.contains("is older than number 5") == true)
        #expect(number == "5")
    }

    @Test func `wait for a list whose time has not come`() async throws {
        try put(5)
        _ = try look(isForced: true)
        try put(6, from: 3)
        #expect(try look(isForced: true).first?.refusal?.contains("is not valid before") == true)
        #expect(number == "5")
        #expect(try await eventually(within: 20) { try look().contains { $0.refusal == nil } })
        #expect(number == "6")
    }

    @Test func `are refused with a signature that is not their authority's`() throws {
        try put(5)
        _ = try look(isForced: true)
        try folder.write(TestAuthority().revocationList { $0.number = 9 }, to: "crl")
        #expect(try look(isForced: true).first?.refusal?.contains("its signature is not that of") == true)
        #expect(number == "5")
    }
}
