import Foundation
import IO
import OpenSSL
import TestSupport
import Testing

@testable import Backups

@Suite(.serialized) struct `The official SDK` {
    private static let script = """
        import sys, json, aws_encryption_sdk as sdk
        from aws_encryption_sdk.identifiers import (
            Algorithm, CommitmentPolicy, EncryptionKeyType, WrappingAlgorithm)
        from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
        from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

        class Keys(RawMasterKeyProvider):
            provider_id = "nodeguard"
            def _get_raw_key(self, key_id):
                return WrappingKey(
                    WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, bytes.fromhex(job["key"]),
                    EncryptionKeyType.SYMMETRIC)

        client = sdk.EncryptionSDKClient(
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
        answers = []
        for job in json.load(open(sys.argv[1])):
            keys = Keys()
            keys.add_master_key(job["name"])
            data = open(job["source"], "rb").read()
            try:
                if job["context"] is None:
                    out, header = client.decrypt(source=data, key_provider=keys)
                else:
                    out, header = client.encrypt(
                        source=data, key_provider=keys, encryption_context=job["context"], frame_length=1 << 20,
                        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY)
                open(job["target"], "wb").write(out)
                answers.append({"context": header.encryption_context})
            except Exception as error:
                answers.append({"error": repr(error)})
        print(json.dumps(answers))
        """

    private struct Job: Encodable {
        let key: String
        let name: String
        let source: String
        let target: String
        /// Decrypts without one.
        let context: [String: String]?

        init(
            _ fixture: SealedFixture, _ source: String, _ target: String,
            encryptingWith context: [String: String]? = nil
        ) {
            (key, name) = (hexadecimal(fixture.keyBytes), fixture.key.id)
            (self.source, self.target, self.context) = (source, target, context)
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Keys.self)
            for (field, value) in [(Keys.key, key), (.name, name), (.source, source), (.target, target)] {
                try container.encode(value, forKey: field)
            }
            try container.encode(context, forKey: .context)
        }

        enum Keys: String, CodingKey { case key, name, source, target, context }
    }

    private struct Answer: Decodable {
        let context: [String: String]?
        let error: String?
    }

    /// One process for all, as importing the SDK takes a second.
    private static func run(_ jobs: [Job]) throws -> [Answer] {
        let folder = try temporaryDirectory()
        let path = try folder.write(Array(try JSONEncoder().encode(jobs)), to: "jobs.json")
        let result = try PythonPeers.run(script, [path])
        try #require(result.succeeded, "\(result)")
        let answers = try JSONDecoder().decode([Answer].self, from: Data(result.output.utf8))
        try #require(answers.count == jobs.count)
        return answers
    }

    static let sizes = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 7, 4 << 20]

    @Test func `opens what nodeguard sealed`() throws {
        let fixtures = try Self.sizes.map { try SealedFixture(someBytes($0), layout: .standard) }
        let jobs = fixtures.map { Job($0, path(of: $0.objects[0], $0), $0.folder.file("output")) }
        for (fixture, answer) in zip(fixtures, try Self.run(jobs)) {
            #expect(answer.context == fixture.messages[0].context.pairs, "\(answer)")
            #expect(try Files.read(fixture.folder.file("output"), limit: 1 << 24) == fixture.plaintext)
        }
    }

    @Test func `opens every volume, and the manifest`() throws {
        let fixture = try SealedFixture(someBytes(700))
        let writer = BackupWriter(
            identity: fixture.identity, name: try #require(BackupName("base")), node: "db-1", version: "1",
            created: CreatedBackupKey(key: fixture.key, kek: "kek-1", wrapped: []), target: fixture.target,
            layout: fixture.layout, width: 2)
        _ = try writer.complete(fixture.sealed, producer: ProducerRecord(command: nil, status: 0))
        let objects = fixture.objects + [fixture.identity.object(.manifest)]
        let outputs = objects.indices.map { fixture.folder.file("output-\($0)") }
        let answers = try Self.run(zip(objects, outputs).map { Job(fixture, path(of: $0, fixture), $1) })
        #expect(answers.compactMap(\.error) == [])
        let opened = try outputs.map { try Files.read($0, limit: 1 << 20) }
        #expect(opened.dropLast().flatMap { $0 } == fixture.plaintext)
        let manifest = try JSONDocument.decode(Manifest.self, from: try #require(opened.last), "the manifest")
        #expect(manifest.volumes == fixture.sealed.volumes && manifest.name == "base")
    }

    @Test func `seals what nodeguard opens`() throws {
        let fixtures = try Self.sizes.map { try SealedFixture(someBytes($0), layout: .standard) }
        let jobs = try fixtures.map { fixture in
            Job(
                fixture, try fixture.folder.write(fixture.plaintext, to: "input"), fixture.folder.file("output"),
                encryptingWith: fixture.messages[0].context.pairs)
        }
        for (fixture, answer) in zip(fixtures, try Self.run(jobs)) {
            try #require(answer.error == nil, "\(answer)")
            let message = fixture.messagesWithoutRecords[0]
            let foreign = AlteredTarget([message.object: try fixture.folder.read("output")])
            let (released, error) = fixture.open([message], from: foreign)
            #expect(error == nil)
            #expect(released == fixture.plaintext)
        }
    }

    @Test func `refuses what nodeguard refuses: a cut, a swap and a change`() throws {
        let fixture = try SealedFixture(someBytes(256))
        let bytes = try fixture.bytes(of: fixture.objects[0])
        let header = try MessageHeader.parse(bytes).length
        var changed = bytes
        changed[header + 20] ^= 1
        let swapped =
            bytes[..<header] + bytes[(header + 96)..<(header + 192)] + bytes[header..<(header + 96)]
            + bytes[(header + 192)...]
        let altered = [Array(bytes.dropLast(1)), Array(swapped), changed, bytes]
        let jobs = try altered.enumerated().map { index, bytes in
            Job(fixture, try fixture.folder.write(bytes, to: "altered-\(index)"), fixture.folder.file("output"))
        }
        let answers = try Self.run(jobs)
        #expect(answers.map { $0.error != nil } == [true, true, true, false])
    }

    @Test(arguments: [0, 1, 64, 256, 700])
    func `is not even needed: the documented decryptor opens it too`(_ size: Int) throws {
        let fixture = try SealedFixture(someBytes(size))
        let paths = fixture.objects.map { path(of: $0, fixture) }
        let output = fixture.folder.file("output")
        // Its output is bytes, not text.
        let script = "import sys\nsys.stdout = open(sys.argv.pop(1), 'w')\n" + (try PythonPeers.documentedDecryptor())
        let result = try PythonPeers.run(script, [output, hexadecimal(fixture.keyBytes)] + paths)
        try #require(result.succeeded, "\(result)")
        #expect(try Files.read(output, limit: 1 << 20) == fixture.plaintext)
        let spoiled = try fixture.folder.write(try fixture.bytes(of: fixture.objects[0]) + [0], to: "spoiled")
        let refused = try PythonPeers.run(script, [output, hexadecimal(fixture.keyBytes), spoiled])
        #expect(refused.errors.contains("bytes follow the final frame"))
    }

    private func path(of object: BackupObject, _ fixture: SealedFixture) -> String {
        "\(fixture.target.root)/\(object.path)"
    }
}
