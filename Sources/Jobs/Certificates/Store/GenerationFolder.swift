import IO
import OpenSSL

/// What kept the job from storing or reading its files: what was being done, and the system's own words.
package struct StoreError: Error, Sendable, CustomStringConvertible {
    package let description: String

    init(_ error: IOError) { description = error.description }
    init(_ error: OpenSSLError) { description = error.description }
    package init(_ description: String) { self.description = description }
}

/// One file of a generation.
enum GenerationFile {
    case bytes(String, [UInt8])
    case key(String, PrivateKey)
}

/// The steps of a publication, in their order; each is about to happen when it is named.
package enum PublicationStep: Sendable, Equatable {
    case makeFolder
    case write(String)
    case replaceLink
    case removeOld
}

/// Numbered generations of a few files in one folder: `g1`, `g2`, …, and `current`, a link to the one in use.
///
/// A generation is complete when its `meta.json`, which is written last, is there; whatever moment the machine dies at,
/// the newest complete one is good. Never edited, only replaced; the last two are kept.
package struct GenerationFolder: Sendable {
    static let metaName = "meta.json"
    /// In place of `key.pem`, where the key is in a token.
    static let tokenKeyName = "key.token"
    private static let keptCount = 2
    private static let link = "current"
    private static let probe = "probe"

    package let path: String
    /// Of its damaged generations in the quarantine.
    private let name: String
    private let quarantinePath: String
    /// Told before each step; what it throws ends the publication there, as a crash would.
    private let onStep: @Sendable (PublicationStep) throws(StoreError) -> Void

    /// `quarantine`: where damaged generations are moved.
    package init(
        _ path: String, name: String, quarantine: String,
        onStep: @escaping @Sendable (PublicationStep) throws(StoreError) -> Void = { _ in }
    ) {
        self.path = path
        self.name = name
        quarantinePath = quarantine
        self.onStep = onStep
    }

    package func file(_ name: String, of number: Int) -> String { "\(path)/g\(number)/\(name)" }

    // MARK: writing

    /// Puts a new generation on the disk and into use; its number. `meta` is written last.
    func publish(_ files: [GenerationFile], meta: (Int) throws(StoreError) -> [UInt8]) throws(StoreError) -> Int {
        removeUnfinished()
        let number = (numbers.first ?? 0) + 1
        let folder = "\(path)/g\(number)"
        try onStep(.makeFolder)
        try storing { () throws(IOError) in
            try Files.makeDirectory(path, mode: 0o700)
            try Files.makeDirectory(folder, mode: 0o700)
        }
        for file in files { try write(file, in: folder) }
        try write(.bytes(Self.metaName, try meta(number)), in: folder)
        try use(number)
        try onStep(.removeOld)
        // One whose key is in a token stays until that is destroyed.
        for old in numbers.filter(isRetired) where !Files.exists(file(Self.tokenKeyName, of: old)) {
            // A leftover costs a few kilobytes, and the next publication removes it.
            try? Files.removeTree("\(path)/g\(old)")
        }
        return number
    }

    /// Neither in use nor the one before.
    func isRetired(_ number: Int) -> Bool {
        number < linkedNumber && !numbers.filter { $0 != linkedNumber }.prefix(Self.keptCount - 1).contains(number)
    }

    /// Best effort, as above.
    func removeRetired(_ number: Int) { try? Files.removeTree("\(path)/g\(number)") }

    /// What a process that was killed left behind; the temporary names of `Files` end with its number.
    private func removeUnfinished() {
        for number in numbers where isUnfinished(number) { try? Files.removeTree("\(path)/g\(number)") }
        let temporary = ["\(Self.link).new-", Self.probe]
        for name in (try? Files.list(path)) ?? [] where temporary.contains(where: name.hasPrefix) {
            try? Files.remove("\(path)/\(name)")
        }
    }

    private func write(_ file: GenerationFile, in folder: String) throws(StoreError) {
        switch file {
        case .bytes(let name, let bytes):
            try onStep(.write(name))
            try storing { () throws(IOError) in try Files.write(bytes, to: "\(folder)/\(name)", mode: 0o600) }
        case .key(let name, let key):
            try onStep(.write(name))
            do {
                try key.writePEM(to: "\(folder)/\(name)")
            } catch {
                throw StoreError(error)
            }
        }
    }

    private func use(_ number: Int) throws(StoreError) {
        try onStep(.replaceLink)
        try storing { () throws(IOError) in
            try Files.replaceSymbolicLink("\(path)/\(Self.link)", to: "g\(number)")
        }
    }

    /// Fails now rather than after a certificate was issued that cannot be stored (certbot/certbot#3553).
    func preflight() throws(StoreError) {
        try storing { () throws(IOError) in
            try Files.makeDirectory(path, mode: 0o700)
            let probe = "\(path)/\(Self.probe)"
            try Files.write([UInt8](repeating: 0, count: 64 << 10), to: probe, mode: 0o600)
            try Files.remove(probe)
        }
    }

    // MARK: reading

    /// What was found wrong with a generation, and where it is now.
    package struct Damage: Sendable, Equatable {
        package let generation: Int
        package let reason: String
        package let folder: String
    }

    enum Flaw: Error {
        /// The content is not what it must be.
        case damaged(String)
        /// The disk or its permissions do not let us see it: nothing is known about the content.
        case unreadable(StoreError)
    }

    /// The newest complete generation that `read` accepts; damaged ones before it are moved to the quarantine.
    /// `current` points at it afterwards.
    func load<Value>(_ read: (Int) throws(Flaw) -> Value) throws(StoreError) -> (
        value: Value?, number: Int, damage: [Damage]
    ) {
        var damage: [Damage] = []
        for number in numbers {
            if isUnfinished(number) { continue }
            do throws(Flaw) {
                let value = try read(number)
                // On a disk that has become read-only the agent still serves.
                if number != linkedNumber { try? use(number) }
                return (value, number, damage)
            } catch {
                switch error {
                case .unreadable(let error): throw error
                case .damaged(let reason):
                    let folder = (try? quarantine(number)) ?? "\(path)/g\(number)"
                    damage.append(Damage(generation: number, reason: reason, folder: folder))
                }
            }
        }
        return (nil, 0, damage)
    }

    /// A publication that did not come to its end; nobody ever used it.
    private func isUnfinished(_ number: Int) -> Bool {
        number > linkedNumber && !Files.exists(file(Self.metaName, of: number))
    }

    /// Moved aside, never deleted: it may be the only evidence, or the only key (spiffe/spire#2454).
    private func quarantine(_ number: Int) throws(StoreError) -> String {
        let name = "\(name)-g\(number)"
        let taken = Set((try? Files.list(quarantinePath)) ?? [])
        let free = (0...).lazy.map { $0 == 0 ? name : "\(name)-\($0)" }.first { !taken.contains($0) } ?? name
        let target = "\(quarantinePath)/\(free)"
        try storing { () throws(IOError) in
            try Files.makeDirectory(quarantinePath, mode: 0o700)
            try Files.rename("\(path)/g\(number)", to: target)
            try Files.synchronizeDirectory(path)
        }
        return target
    }

    /// Newest first, complete or not.
    var numbers: [Int] {
        let names = (try? Files.list(path)) ?? []
        return names.filter { $0.hasPrefix("g") }.compactMap { Int($0.dropFirst()) }.filter { $0 > 0 }.sorted(by: >)
    }

    private var linkedNumber: Int {
        Files.symbolicLinkTarget("\(path)/\(Self.link)").flatMap { Int($0.dropFirst()) } ?? 0
    }

    private func storing(_ body: () throws(IOError) -> Void) throws(StoreError) {
        do throws(IOError) { try body() } catch { throw StoreError(error) }
    }
}

extension GenerationFolder {
    /// A whole file of a generation, for `load`.
    func bytes(_ name: String, of number: Int, limit: Int = 1 << 20) throws(Flaw) -> [UInt8] {
        do throws(IOError) {
            return try Files.read(file(name, of: number), limit: limit)
        } catch {
            throw error.meansDamage ? .damaged(error.description) : .unreadable(StoreError(error))
        }
    }
}
