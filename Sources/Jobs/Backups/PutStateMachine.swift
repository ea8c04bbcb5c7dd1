/// What a put does next, and above all when its manifest may be written: only after the whole stream is sealed and
/// stored, it was not empty, and the client has said that the producer did not fail, as far as anybody can know.
///
///     creatingKey ──> sealing ──> awaitingProducer ──> writingManifest ──> (completed)
///          └─────────────┴───────────────┴───────────────────┴──────────────> abandoned
struct PutStateMachine {
    enum Action: Equatable {
        case createKey
        case seal
        case awaitProducer
        case writeManifest
        case reportCompletion
        /// Remove what was stored, give the key up, and say why.
        case abandon(Reason)
        /// The event came late: what was decided stays decided.
        case ignore
    }

    enum Reason: Equatable {
        case keyRefused(String)
        case empty
        case producerFailed(status: Int32)
        case clientVanished
        case sealingFailed(String)
        case manifestFailed(String)
    }

    private enum State {
        /// Exits: `sealing` with a key, `abandoned` without.
        case creatingKey
        /// Exits: `awaitingProducer` at the end of the stream, else `abandoned`.
        case sealing
        /// Exits: `writingManifest` if the producer's status is 0 and the stream may be kept, else `abandoned`: a
        /// producer that failed mostly gave nothing, and its status says more than that.
        case awaitingProducer(isEmpty: Bool)
        /// Exits: `completed`, or `abandoned` if it cannot be stored.
        case writingManifest
        case completed
        case abandoned(Reason)
    }

    private let allowsEmpty: Bool
    private var state = State.creatingKey

    init(allowsEmpty: Bool) { self.allowsEmpty = allowsEmpty }

    func started() -> Action { .createKey }

    mutating func keyCreated() -> Action {
        guard case .creatingKey = state else { return .ignore }
        state = .sealing
        return .seal
    }

    mutating func keyRefused(_ reason: String) -> Action {
        guard case .creatingKey = state else { return .ignore }
        return abandon(.keyRefused(reason))
    }

    mutating func streamEnded(byteCount: Int64) -> Action {
        guard case .sealing = state else { return .ignore }
        state = .awaitingProducer(isEmpty: byteCount == 0)
        return .awaitProducer
    }

    mutating func sealingFailed(_ reason: String) -> Action {
        guard case .sealing = state else { return .ignore }
        return abandon(.sealingFailed(reason))
    }

    /// `status`: nil where nobody knows, which is no objection.
    mutating func producerEnded(status: Int32?) -> Action {
        guard case .awaitingProducer(let isEmpty) = state else { return .ignore }
        if let status, status != 0 { return abandon(.producerFailed(status: status)) }
        if isEmpty, !allowsEmpty { return abandon(.empty) }
        state = .writingManifest
        return .writeManifest
    }

    /// At any time before the manifest is stored; a backup that exists stays.
    mutating func clientVanished() -> Action {
        switch state {
        case .creatingKey, .sealing, .awaitingProducer: abandon(.clientVanished)
        case .writingManifest, .completed, .abandoned: .ignore
        }
    }

    mutating func manifestWritten() -> Action {
        guard case .writingManifest = state else { return .ignore }
        state = .completed
        return .reportCompletion
    }

    mutating func manifestFailed(_ reason: String) -> Action {
        guard case .writingManifest = state else { return .ignore }
        return abandon(.manifestFailed(reason))
    }

    private mutating func abandon(_ reason: Reason) -> Action {
        state = .abandoned(reason)
        return .abandon(reason)
    }
}
