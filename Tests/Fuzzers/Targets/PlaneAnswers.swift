import FoundationEssentials
import OpenSSL
import PlaneAPI

@testable import Audit
@testable import PlaneClient

extension FuzzTarget {
    /// The line that an operator pastes.
    static let joinBundle = FuzzTarget("join-bundle", longest: 2048) {
        let pins = ["sha256:" + String(repeating: "0a", count: 32)]
        let bundle = JoinBundle(url: "https://plane:8443", cluster: "a", node: "db-1", pins: pins, token: "t0ken")
        return [Array(try bundle.text.utf8), Array("\n\(try bundle.text)\n".utf8)]
    } check: { input in
        let text = String(decoding: input, as: UTF8.self)
        guard let bundle = try? JoinBundle(text: text) else { return }
        try promise(Name.isValid(bundle.node) && Name.isValid(bundle.cluster), "a name that is none")
        try promise(!bundle.pins.isEmpty && !bundle.token.isEmpty, "no pin or no token")
        try promise(try JoinBundle(text: bundle.text) == bundle, "it is written as another")
        try promise(try JoinBundle(text: " \t\n" + text) == bundle, "space before it makes another")
        guard let offer = try? JoinOffer(reading: SecretReference(copying: input)) else { return }
        let token = String(decoding: offer.token.withSecret { $0.copy() }, as: UTF8.self)
        let isSame = offer.bundle.pins == bundle.pins && offer.bundle.node == bundle.node && token == bundle.token
        try promise(isSame, "the node reads another bundle")
    }

    /// An answer with a key in clear.
    static let keyAnswer = FuzzTarget("key-answer", longest: 1024) {
        let key = #""key":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=""#
        return [
            "{\(key)}", #"{"id":"bk-1",\#(key),"wrapped":"AQI=","kek":"kek-1"}"#,
            #" { "n" : [ 1 , -2.5e+3 , {"a":"}\""} , null ] , \#(key) } "#,
        ].map { Array($0.utf8) }
    } check: { input in
        let answer = SecretReference(copying: input)
        if let key = try? KeyAnswer.unwrapped(answer, doing: "ask") {
            try promise(key.count == 32, "a key of \(key.count) bytes")
            let json = try? JSONDecoder().decode(UnwrappedKey.self, from: Data(input))
            if let json { try promise(Array(json.key) == key.withSecret { $0.copy() }, "another key than JSON's") }
        }
        if let made = try? KeyAnswer.created(answer, doing: "ask") {
            try promise(made.secret.count == 32, "a key of \(made.secret.count) bytes")
        }
    }

    /// A status, a `Retry-After` header in one line, and a body.
    static let planeAnswer = FuzzTarget("plane-answer", longest: 1024) {
        [
            "429 120\n{\"detail\":\"later\",\"reason\":\"rate-limited\"}", "409 \n{\"next\":7}",
            "503 Sun, 06 Nov 1994 08:49:37 GMT\n", "202 Sunday, 06-Nov-94 08:49:37 GMT\n",
            "202 Sun Nov  6 08:49:37 1994\n", "403 1\n{\"detail\":\"name\\nx\",\"reason\":\"name-not-allowed\"}",
        ].map { Array($0.utf8) }
    } check: { input in
        let head = input.prefix { $0 != 0x0A }
        let status = head.prefix(3).reduce(0) { $0 * 10 + Int($1 & 0x0F) }
        let header = String(decoding: head.dropFirst(4), as: UTF8.self)
        if let seconds = HTTPDate.parse(header) { try promise(seconds >= 0, "a date before 1970") }
        if let retry = Answer.retryAfter(header, now: 784_111_777) {
            try promise(retry >= .seconds(1) && retry <= .seconds(172_800), "again after \(retry)")
        }
        let error = Answer.error(
            status: status, body: Array(input.dropFirst(head.count + 1)), retryAfter: header, doing: "join")
        let isLine = error.description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
        try promise(isLine && error.description.utf8.count < 4096, "it could forge a line of the log")
    }

    /// A signed checkpoint, and a witness's cosignature.
    static let signedNote = FuzzTarget("signed-note", longest: 2048) {
        let key = try PrivateKey.generate(.ed25519)
        let checkpoint = Checkpoint(origin: "nodeguard/db-1/7", tree: MerkleTree())
        let publicKey = key.rawPublicKey ?? []
        let hash = SignedNote.keyHash(name: checkpoint.origin, .ed25519, publicKey)
        let signature = SignedNote.Signature(
            name: checkpoint.origin, keyHash: hash, bytes: try key.sign(Array(checkpoint.text.utf8)))
        let note = SignedNote(text: checkpoint.text, signatures: [signature])
        let two = SignedNote(text: checkpoint.text, signatures: [signature, signature])
        return [note.fullText, two.fullText, checkpoint.text, signature.line].map { Array($0.utf8) }
    } check: { input in
        let text = String(decoding: input, as: UTF8.self)
        if let note = try? SignedNote(parsing: input) {
            try promise(note.signatures.count <= SignedNote.signatureLimit, "\(note.signatures.count) signatures")
            try promise(try SignedNote(parsing: note.fullText.utf8) == note, "it is written as another")
            try check(checkpoint: note.text)
        }
        try check(checkpoint: text)
        if let witness = Witness(verifierKey: text) {
            try promise(!witness.cosigned("a\n0\n\n", text + "\n"), "a cosignature out of nothing")
        }
    }

    private static func check(checkpoint text: String) throws {
        guard let checkpoint = try? Checkpoint(parsing: text) else { return }
        try promise(checkpoint.text == text, "it is written as another")
    }
}
