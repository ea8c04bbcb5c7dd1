import Crypto
import Foundation
import TestSupport
import Testing

@testable import nodeguard_plane

@Suite struct `A sealed file` {
    let folder: TemporaryDirectory
    let key = OperatorPrivateKey.create()

    init() throws { folder = try temporaryDirectory() }

    private func write(_ contents: [UInt8], to recipients: [OperatorPublicKey]? = nil) throws -> String {
        let path = folder.file(UUID().uuidString)
        let writer = try SealedFileWriter(path, recipients: recipients ?? [key.publicKey])
        for start in stride(from: 0, to: contents.count, by: 50_000) {
            try writer.write(contents[start..<min(start + 50_000, contents.count)])
        }
        try writer.finish()
        return path
    }

    private func read(_ path: String, with key: OperatorPrivateKey? = nil) throws -> [UInt8] {
        try SealedFileReader(path, key: key ?? self.key).read(1 << 20)
    }

    /// What is read of a file with other bytes.
    private func problem(of bytes: some Sequence<UInt8>) throws -> String {
        let path = folder.file(UUID().uuidString)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
            let read = try read(path)
            Issue.record("\(read.count) bytes of a file that was changed were read")
            return ""
        } catch { return "\(error)" }
    }

    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
    func `gives back what was put into it, whatever its size`(count: Int) throws {
        let contents = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        #expect(try read(write(contents)) == contents)
    }

    @Test func `opens with the key of each recipient, as OpenSSL makes them, and with no other`() throws {
        let made = try [["X25519"], ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]].map { words in
            let path = folder.file(words[0])
            try Shell.succeed(["openssl", "genpkey", "-out", path, "-algorithm"] + words)
            try Shell.succeed(["openssl", "pkey", "-in", path, "-pubout", "-out", path + ".pub"])
            return (try OperatorPrivateKey(file: path), try OperatorPublicKey(file: path + ".pub"))
        }
        let path = try write([1, 2, 3], to: made.map(\.1))
        for (own, publicKey) in made {
            #expect(own.publicKey.id == publicKey.id)
            #expect(try read(path, with: own) == [1, 2, 3])
        }
        let error = #expect(throws: PlaneProblem.self) { try read(path) }
        #expect(error?.description.contains("was not sealed to this key") == true)
        #expect(error?.description.contains(made[1].1.id) == true)
    }

    @Test func `makes keys that OpenSSL reads`() throws {
        let file = folder.file("own")
        try Data(key.pem.privateKey.utf8).write(to: URL(fileURLWithPath: file))
        #expect(try Shell.succeed(["openssl", "pkey", "-in", file, "-pubout"]).text == key.pem.publicKey)
        #expect(try OperatorPrivateKey(file: file).publicKey.id == key.publicKey.id)
        #expect(throws: PlaneProblem.self) { try OperatorPublicKey(file: file) }
    }

    @Test func `is refused, with the place, when one bit of it is another`() throws {
        let path = try write([UInt8](repeating: 7, count: 150_000))
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let header = bytes.count - 150_000 - 3 * SealedFile.tagSize
        for place in [0, 24, 26, 40, header - 40, header - 1] {
            var changed = bytes
            changed[place] ^= 1
            #expect(try !problem(of: changed).isEmpty, "byte \(place)")
        }
        for (piece, place) in [header, header + 70_000, header + 131_106, bytes.count - 1].enumerated() {
            var changed = bytes
            changed[place] ^= 0x10
            let start = header + min(piece, 2) * (SealedFile.pieceSize + SealedFile.tagSize)
            let words = "its piece \(min(piece, 2)), at byte \(start)"
            #expect(try problem(of: changed).contains(words), "byte \(place)")
        }
    }

    @Test func `is refused when it is cut, goes on, or is in another order`() throws {
        let path = try write((0..<(3 * SealedFile.pieceSize)).map { UInt8(truncatingIfNeeded: $0 >> 8) })
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        let piece = SealedFile.pieceSize + SealedFile.tagSize
        let header = Array(bytes.prefix(bytes.count - 3 * piece))
        let pieces = (0..<3).map { Array(bytes[(header.count + $0 * piece)...].prefix(piece)) }
        #expect(try problem(of: header).contains("ends too early, after byte \(header.count)"))
        #expect(try problem(of: header + pieces[0] + pieces[1]).contains("after byte \(header.count + 2 * piece)"))
        #expect(try problem(of: header + pieces[0] + pieces[1].dropLast()).contains("its piece 1"))
        #expect(try problem(of: header + pieces[1] + pieces[0] + pieces[2]).contains("its piece 0"))
        #expect(try problem(of: header + pieces[0] + pieces[0] + pieces[2]).contains("its piece 1"))
        #expect(try problem(of: bytes + pieces[2]).contains("goes on behind its end at byte \(bytes.count)"))
        #expect(try problem(of: bytes.prefix(20)).contains("is no backup of a plane"))
        #expect(try problem(of: bytes.prefix(200)).contains("header"))
    }

    @Test func `never takes the place of another, and is not there before it is whole`() throws {
        let path = folder.file("named")
        do {
            let writer = try SealedFileWriter(path, recipients: [key.publicKey])
            try writer.write([UInt8](repeating: 1, count: 200_000))
            #expect(!FileManager.default.fileExists(atPath: path))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
        try Data([1]).write(to: URL(fileURLWithPath: path))
        #expect(throws: PlaneProblem.self) { try SealedFileWriter(path, recipients: [key.publicKey]) }
    }
}
