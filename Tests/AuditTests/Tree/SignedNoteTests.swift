import Foundation
import OpenSSL
import TestSupport
import Testing

@testable import Audit

@Suite struct `A checkpoint` {
    @Test func `is origin, size and root, a line each`() throws {
        var tree = MerkleTree()
        tree.append([])
        let checkpoint = Checkpoint(origin: "nodeguard/db-1/1700000000000", tree: tree)
        #expect(
            checkpoint.text
                == "nodeguard/db-1/1700000000000\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n")
        #expect(try Checkpoint(parsing: checkpoint.text) == checkpoint)
    }

    @Test(arguments: [
        "", "a\n1\n", "a\n01\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n", "a\n1\nbjQL\n",
        "a\n-1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n",
        "\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n",
        "a\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
        "a\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\nmore\n",
    ])
    func `of another form is refused`(text: String) {
        #expect(throws: SignedNote.Flaw.self) { try Checkpoint(parsing: text) }
    }
}

@Suite struct `A signed note` {
    /// The example of the Go module that the C2SP specification describes (golang.org/x/mod/sumdb/note, `ExampleOpen`).
    private let example = """
        If you think cryptography is the answer to your problem,
        then you don't know what your problem is.

        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ\
        SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=

        """
    private let exampleKey = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

    @Test func `of the reference implementation is verified`() throws {
        let note = try SignedNote(parsing: Array(example.utf8))
        let key = Array(try #require(Data(base64Encoded: exampleKey)).dropFirst())
        #expect(note.isSigned(by: "PeterNeumann", publicKey: key))
        #expect(!note.isSigned(by: "PeterNeuman", publicKey: key))
        #expect(note.fullText == example)
    }

    @Test func `is not verified with one bit changed anywhere`() throws {
        let key = Array(try #require(Data(base64Encoded: exampleKey)).dropFirst())
        let bytes = Array(example.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            let note = try? SignedNote(parsing: changed)
            #expect(note?.isSigned(by: "PeterNeumann", publicKey: key) != true, "byte \(index)")
        }
    }

    @Test func `of ours is signed under its origin and comes back from its text`() throws {
        let directory = try TemporaryDirectory()
        let key = try LogKey.create(directory.file("audit.key"))
        let checkpoint = Checkpoint(origin: "nodeguard/db-1/7", tree: MerkleTree())
        let note = try key.sign(checkpoint)
        let read = try SignedNote(parsing: Array(note.fullText.utf8))
        #expect(read == note)
        #expect(read.isSigned(by: "nodeguard/db-1/7", publicKey: key.publicKey))
        #expect(!read.isSigned(by: "nodeguard/db-1/7", publicKey: [UInt8](repeating: 1, count: 32)))
        let permissions = try FileManager.default.attributesOfItem(atPath: directory.file("audit.key"))
        #expect(permissions[.posixPermissions] as? Int == 0o600)
        #expect(try LogKey(file: directory.file("audit.key")).publicKey == key.publicKey)
    }

    @Test func `without a signature, too long, or not text is refused`() {
        for text in ["", "a\n", "a\n\n", "a\n\nno signature\n", "a\n\n\u{2014} name !!!\n", "a\n\n\u{2014} name\n"] {
            #expect(throws: SignedNote.Flaw.self) { try SignedNote(parsing: Array(text.utf8)) }
        }
        #expect(throws: SignedNote.Flaw.self) { try SignedNote(parsing: [0xFF, 0x0A, 0x0A, 0x61, 0x0A]) }
        #expect(throws: SignedNote.Flaw.self) {
            try SignedNote(parsing: [UInt8](repeating: 0x61, count: SignedNote.sizeLimit + 1))
        }
    }
}

@Suite struct `A witness` {
    @Test func `is known by its verifier key, and only its own cosignature counts`() throws {
        let plane = try FakeWitness(name: "plane.example")
        let other = try FakeWitness(name: "plane.example")
        let witness = try #require(Witness(verifierKey: plane.verifierKey))
        let text = "nodeguard/db-1/7\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        #expect(witness.cosigned(text, try plane.cosign(text)))
        #expect(!witness.cosigned(text, try other.cosign(text)))
        #expect(!witness.cosigned(text.replacing("0", with: "1"), try plane.cosign(text)))
        #expect(!witness.cosigned(text, try plane.cosign(text).replacing("\n", with: "")))
        #expect(!witness.cosigned(text, ""))
    }

    @Test(arguments: ["", "a+b", "name+00000000+BAAA", "name+00000000+!!!"])
    func `is not made of another text`(key: String) {
        #expect(Witness(verifierKey: key) == nil)
    }
}
