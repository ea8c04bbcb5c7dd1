/// On the disk: which state of the PIN's file the token has refused, so that neither a restart nor the next verb tries
/// it once more.
struct RefusedPIN: Sendable {
    let address: TokenAddress
    let directory: String

    private var path: String { directory + "/hsm.pin-refused" }

    private var refused: String? {
        StateFile.exists(path) ? (try? StateFile.read(path)).map { String(decoding: $0, as: UTF8.self) } : nil
    }

    /// What says nothing to whom it may concern: another token, or another file.
    private var mark: String { "\(address.text)\n\(address.pinMark)\n" }

    var isStanding: Bool { refused == mark }
    var hasPassed: Bool { refused.map { $0 != mark } ?? false }

    /// Best effort: where it cannot be written, this process still knows.
    func write() { try? StateFile.write(Array(mark.utf8), to: path) }
    func forget() { StateFile.remove(path) }
}
