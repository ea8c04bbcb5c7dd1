import Crypto
import FoundationEssentials
import PlaneAPI

/// A file that only the holders of some keys can read, and nobody can change, cut or put in another order unseen: a
/// header with the file's key, sealed to each of them, and its contents in pieces of a fixed size, each sealed by
/// AES-256-GCM under its number and whether it is the last (the STREAM construction, Hoang et al. 2015, as in age v1).
enum SealedFile {
    static let magic = Array("nodeguard-plane-backup 1\n".utf8)
    static let pieceSize = 64 << 10
    static let tagSize = 16
    static let headerLimit = 64 << 10
    static let purpose = "nodeguard plane backup 1"

    struct Header: Codable, Sendable {
        let recipients: [SealedKey]
        let salt: Data
    }

    struct Keys: Sendable {
        private let header: SymmetricKey
        private let contents: SymmetricKey

        init(_ key: SymmetricKey, salt: Data) {
            func derived(_ use: String) -> SymmetricKey {
                HKDF<SHA256>.deriveKey(
                    inputKeyMaterial: key, salt: salt, info: Array("\(SealedFile.purpose) \(use)".utf8),
                    outputByteCount: 32)
            }
            header = derived("header")
            contents = derived("contents")
        }

        func code(of bytes: [UInt8]) -> [UInt8] { Array(HMAC<SHA256>.authenticationCode(for: bytes, using: header)) }

        func isCode(_ code: [UInt8], of bytes: [UInt8]) -> Bool {
            HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: bytes, using: header)
        }

        func seal(_ piece: [UInt8], _ number: UInt64, isLast: Bool) throws -> [UInt8] {
            let box = try AES.GCM.seal(piece, using: contents, nonce: Self.nonce(number, isLast))
            return Array(box.ciphertext) + Array(box.tag)
        }

        /// nil: it is not what was sealed in this place.
        func open(_ bytes: [UInt8], _ number: UInt64, isLast: Bool) -> [UInt8]? {
            guard bytes.count >= tagSize, let nonce = try? Self.nonce(number, isLast),
                let box = try? AES.GCM.SealedBox(
                    nonce: nonce, ciphertext: bytes.dropLast(tagSize), tag: bytes.suffix(tagSize)),
                let piece = try? AES.GCM.open(box, using: contents)
            else { return nil }
            return Array(piece)
        }

        private static func nonce(_ number: UInt64, _ isLast: Bool) throws -> AES.GCM.Nonce {
            try AES.GCM.Nonce(data: [0, 0, 0] + BigEndian.bytes(number) + [isLast ? 1 : 0])
        }
    }
}

enum BigEndian {
    static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    static func number<Number: FixedWidthInteger>(_ bytes: some Sequence<UInt8>) -> Number {
        bytes.reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }
}

/// Writes one, piece by piece; it is there under its name, durable and whole, after `finish`.
final class SealedFileWriter {
    private let file: AsideFile
    private let keys: SealedFile.Keys
    private var piece: [UInt8] = []
    private var number: UInt64 = 0

    init(_ path: String, recipients: [OperatorPublicKey]) throws {
        let key = SymmetricKey(size: .bits256)
        let salt = Data(RandomBytes.make(32))
        keys = SealedFile.Keys(key, salt: salt)
        let sealed = try recipients.map { try $0.seal(key, for: SealedFile.purpose) }
        let header = Array(try JSONEncoder.plane.encode(SealedFile.Header(recipients: sealed, salt: salt)))
        guard header.count <= SealedFile.headerLimit else {
            throw PlaneProblem("there are \(recipients.count) recipients", remedy: "name fewer")
        }
        let text = SealedFile.magic + BigEndian.bytes(UInt32(header.count)) + header
        file = try AsideFile(path)
        try file.write(text + keys.code(of: text))
    }

    func write(_ bytes: some Collection<UInt8>) throws {
        piece += bytes
        var rest = piece[...]
        // The last piece is known to be that only at the end, so one that is full may have to wait.
        while rest.count > SealedFile.pieceSize {
            try file.write(keys.seal(Array(rest.prefix(SealedFile.pieceSize)), number, isLast: false))
            rest = rest.dropFirst(SealedFile.pieceSize)
            number += 1
        }
        if rest.count < piece.count { piece = Array(rest) }
    }

    func finish() throws {
        try file.write(keys.seal(piece, number, isLast: true))
        try file.finish()
    }
}

/// Reads one from its beginning; nothing that it gives out was changed.
final class SealedFileReader {
    private let path: String
    private let file: InputFile
    private let keys: SealedFile.Keys
    private var next: [UInt8]
    private var piece: ArraySlice<UInt8> = []
    private var number: UInt64 = 0
    private var place: Int
    private var isAtEnd = false

    private static let sealedSize = SealedFile.pieceSize + SealedFile.tagSize

    init(_ path: String, key: OperatorPrivateKey) throws {
        self.path = path
        file = try InputFile(path)
        let begin = try file.read(SealedFile.magic.count + 4)
        guard begin.starts(with: SealedFile.magic), begin.count == SealedFile.magic.count + 4 else {
            throw PlaneProblem("\(path) is no backup of a plane", remedy: "name a file that `backup` has written")
        }
        let size: UInt32 = BigEndian.number(begin.suffix(4))
        guard size <= SealedFile.headerLimit else { throw Self.damaged(path, at: SealedFile.magic.count, "header") }
        let text = try file.read(Int(size))
        let code = try file.read(32)
        guard text.count == Int(size), code.count == 32,
            let header = try? JSONDecoder().decode(SealedFile.Header.self, from: Data(text))
        else { throw Self.damaged(path, at: begin.count, "header") }
        let opened = header.recipients.lazy.compactMap { key.open($0, for: SealedFile.purpose) }.first
        guard let opened else {
            let known = header.recipients.map(\.recipient).joined(separator: ", ")
            throw PlaneProblem(
                "\(path) was not sealed to this key, which is \(key.publicKey.id)", remedy: "it was sealed to \(known)")
        }
        keys = SealedFile.Keys(opened, salt: header.salt)
        guard keys.isCode(code, of: begin + text) else { throw Self.damaged(path, at: begin.count, "header") }
        place = begin.count + text.count + code.count
        next = try file.read(Self.sealedSize)
    }

    /// Exactly so many; fewer only at the end.
    func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            if piece.isEmpty, try !advance() { break }
            let part = piece.prefix(count - bytes.count)
            bytes += part
            piece = piece.dropFirst(part.count)
        }
        return bytes
    }

    /// False: there is nothing more.
    private func advance() throws -> Bool {
        if isAtEnd { return false }
        let sealed = next
        next = sealed.count == Self.sealedSize ? try file.read(Self.sealedSize) : []
        let isLast = next.isEmpty
        guard let opened = keys.open(sealed, number, isLast: isLast) else {
            if isLast, keys.open(sealed, number, isLast: false) != nil || sealed.isEmpty {
                throw PlaneProblem("\(path) ends too early, after byte \(place + sealed.count)", remedy: Self.remedy)
            }
            if !isLast, keys.open(sealed, number, isLast: true) != nil {
                throw PlaneProblem(
                    "\(path) goes on behind its end at byte \(place + sealed.count)", remedy: Self.remedy)
            }
            throw Self.damaged(path, at: place, "piece \(number)")
        }
        (piece, isAtEnd) = (opened[...], isLast)
        place += sealed.count
        number += 1
        return !piece.isEmpty
    }

    private static let remedy = "nothing was restored; take another copy of this backup, or another backup"

    private static func damaged(_ path: String, at place: Int, _ what: String) -> PlaneProblem {
        PlaneProblem("\(path) is damaged: its \(what), at byte \(place), was changed or put elsewhere", remedy: remedy)
    }
}
