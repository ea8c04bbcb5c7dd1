import Dispatch
import FoundationEssentials
import Synchronization

/// The token that holds the plane's keys: at most `sessionLimit` sessions with it, each in a process of its own. Safe
/// from any thread; a call blocks, so never on an event loop, and for `patience` and `limit` at most.
final class KeyToken: Sendable {
    /// Signatures at once; most come from writing transactions, which go one after the other.
    static let sessionLimit = 4
    /// Of one call, in seconds; then its session is taken for hung, and ended.
    static let limit = 5
    /// For a session that is in use.
    private static let patience = DispatchTimeInterval.seconds(3)

    /// What can be said of it at one moment.
    struct Condition: Sendable, Equatable {
        /// nil: it is used.
        let fault: KeyTokenStateMachine.Fault?
        let detail: String
    }

    private struct State {
        var machine: KeyTokenStateMachine
        var idle: [TokenProcess] = []
        var ended: [TokenProcess] = []
        var detail = "it was not opened yet"
        /// Of the PIN's file, before it was read.
        var pinMark: String?
        /// A signature that was made or wanted: what is asked of a token first that is opened after a fault.
        var probe: TokenRequest?
        /// Calls leave it to `tend` to open it.
        var isTended = false
        /// Since the last change that `tend` told.
        var failedCalls: Int64 = 0
        var told = Condition(fault: nil, detail: "")
        /// When it was last looked for, while nobody needed it.
        var lookedAt = 0.0
    }

    let address: TokenAddress
    private let program: String
    /// Of `RefusedPIN`, which the processes write and heed.
    private let record: String
    private let places = DispatchSemaphore(value: sessionLimit)
    private let opening = DispatchSemaphore(value: 1)
    private let state: Mutex<State>

    /// `program`: this one, which `TokenProcess` starts once more.
    init(_ address: TokenAddress, directory: String, program: String = "/proc/self/exe") {
        self.address = address
        self.program = program
        record = RefusedPIN.file(in: directory)
        state = Mutex(State(machine: KeyTokenStateMachine()))
    }

    deinit {
        state.withLock { state in
            for process in state.idle + state.ended { _ = process.end() }
        }
    }

    var condition: Condition {
        state.withLock { state in
            Condition(
                fault: state.machine.isUsable ? nil : state.machine.fault ?? .unreachable,
                detail: state.machine.isUsable ? "" : state.detail)
        }
    }

    // MARK: opening

    /// Now, unless it is too early after a fault; for verbs and starts, which cannot go on without it.
    func open() throws(TokenProblem) { giveBack(try borrow(mayOpen: true)) }

    /// Called every second by a running plane that has opened it, and never in a transaction: opens it again when it is
    /// time, and looks whether it is still there. Returns what is news since the last time, and how many calls failed
    /// meanwhile.
    func tend() -> (condition: Condition, failedCalls: Int64)? {
        let looksFor: Data? = state.withLock { state in
            state.isTended = true
            state.ended.removeAll { $0.end() }
            guard case .sign(let id, _)? = state.probe, Self.now >= state.lookedAt + Self.look else { return nil }
            state.lookedAt = Self.now
            return id
        }
        do throws(TokenProblem) {
            giveBack(try borrow(mayOpen: true))
            if let looksFor { try requireThere(looksFor) }
        } catch {
            // What is wrong is the condition.
        }
        let now = condition
        return state.withLock { state in
            guard state.told.fault != now.fault else { return nil }
            defer {
                state.told = now
                state.failedCalls = 0
            }
            return (now, state.failedCalls)
        }
    }

    /// In seconds.
    private static let look = 5.0

    private func requireThere(_ id: Data) throws(TokenProblem) {
        guard case .ids([]) = try ask(.missing(ids: [id])) else {
            fail(TokenProblem(fault: .unreachable, text: "it has the key \(Hex.lower(id)) no more"), nil)
            return
        }
    }

    private static var now: Double { origin.duration(to: .now) / .seconds(1) }
    private static let origin = ContinuousClock.now

    private func borrow(mayOpen: Bool) throws(TokenProblem) -> TokenProcess {
        state.withLock { state in
            // Whether it is another PIN is for the process to say that reads it.
            if state.machine.isBarred, hasPassed(state.pinMark) { state.machine.pinChanged() }
        }
        guard places.wait(timeout: .now() + Self.patience) == .success else {
            throw TokenProblem(fault: .silent, text: "no session with it became free")
        }
        do throws(TokenProblem) {
            let (action, idle) = state.withLock { state in
                let action = state.machine.called(at: Self.now, mayOpen: mayOpen || !state.isTended)
                return (action, action == .use ? state.idle.popLast() : nil)
            }
            switch action {
            case .use:
                if let idle { return idle }
                return try begin(isFirst: false)
            case .open: return try begin(isFirst: true)
            case .refuse(let fault): throw TokenProblem(fault: fault, text: condition.detail)
            }
        } catch {
            places.signal()
            throw error
        }
    }

    /// There is a PIN's file, and another one than was refused; or an operator has taken the refusal away.
    private func hasPassed(_ mark: String?) -> Bool {
        !StateFile.exists(record) || address.pinMark.map { $0 != mark } ?? false
    }

    private func giveBack(_ process: TokenProcess) {
        state.withLock { state in
            // A fault that another session had meanwhile may be this one's, too.
            if state.machine.isUsable { state.idle.append(process) } else { state.ended.append(process) }
        }
        places.signal()
    }

    private func begin(isFirst: Bool) throws(TokenProblem) -> TokenProcess {
        let mark = address.pinMark
        state.withLock { $0.pinMark = mark }
        do throws(TokenProblem) {
            var process = try started()
            if isFirst, try !isProven(process) { process = try started() }
            if isFirst { state.withLock { $0.machine.opened() } }
            return process
        } catch {
            fail(error, nil)
            throw error
        }
    }

    /// SoftHSM 2.6 empties its token's file for a moment at each login, and who looks just then finds no token: one
    /// session is opened after the other, and once more where none was found. A PIN that was refused is another fault.
    private func started() throws(TokenProblem) -> TokenProcess {
        guard opening.wait(timeout: .now() + Self.patience) == .success else {
            throw TokenProblem(fault: .silent, text: "another session with it is being opened all the time")
        }
        defer { opening.signal() }
        do throws(TokenProblem) {
            return try startedOnce()
        } catch  where error.fault == .unreachable {
            return try startedOnce()
        }
    }

    private func startedOnce() throws(TokenProblem) -> TokenProcess {
        let process = try TokenProcess(program: program)
        do throws(TokenProblem) {
            _ = try process.ask(.open(address: address.text, record: record), within: Self.limit)
            return process
        } catch {
            state.withLock { $0.ended.append(process) }
            throw TokenProblem(fault: error.fault ?? .unreachable, text: error.text)
        }
    }

    /// One that hung may open, and hang again in the first call. False: it answers, but does not do what it did; that
    /// one key is no more is no reason to keep the others from being used.
    private func isProven(_ process: TokenProcess) throws(TokenProblem) -> Bool {
        guard let probe = state.withLock({ $0.probe }) else { return true }
        do throws(TokenProblem) {
            _ = try process.ask(probe, within: Self.limit)
            return true
        } catch {
            state.withLock { state in
                state.ended.append(process)
                state.probe = error.fault == .silent ? probe : nil
            }
            if error.fault == .silent { throw error }
            return false
        }
    }

    /// All sessions end with one that failed: whatever is wrong, a new one sees how it is now.
    private func fail(_ problem: TokenProblem, _ process: TokenProcess?) {
        guard let fault = problem.fault else { return }
        state.withLock { state in
            state.machine.failed(fault, at: Self.now)
            state.detail = problem.text
            state.ended += state.idle + [process].compactMap { $0 }
            state.idle = []
            state.ended.removeAll { $0.end() }
        }
    }

    // MARK: calls

    private func ask(_ request: TokenRequest) throws(TokenProblem) -> TokenAnswer {
        do throws(TokenProblem) {
            let process = try borrow(mayOpen: false)
            do throws(TokenProblem) {
                let answer = try process.ask(request, within: Self.limit)
                state.withLock { $0.machine.answered() }
                giveBack(process)
                return answer
            } catch {
                if error.fault == nil {
                    giveBack(process)
                } else {
                    fail(error, process)
                    places.signal()
                }
                throw error
            }
        } catch {
            state.withLock { $0.failedCalls += 1 }
            throw error
        }
    }

    /// `label`: for people who look into the token. The key's name, under which it is found whoever looks, and its
    /// public point (X9.62).
    func makeSigningKey(label: String) throws(TokenProblem) -> (id: [UInt8], point: [UInt8]) {
        let id = RandomBytes.make(16)
        guard case .bytes(let point) = try ask(.makeSigningKey(id: Data(id), label: label)) else { throw Self.nonsense }
        return (id, Array(point))
    }

    /// `digest`: of SHA-256. r ‖ s, 64 bytes.
    func sign(_ id: [UInt8], digest: [UInt8]) throws(TokenProblem) -> [UInt8] {
        let request = TokenRequest.sign(id: Data(id), digest: Data(digest))
        state.withLock { $0.probe = request }
        guard case .bytes(let signature) = try ask(request) else { throw Self.nonsense }
        return Array(signature)
    }

    func makeWrappingKey(label: String) throws(TokenProblem) -> [UInt8] {
        let id = RandomBytes.make(16)
        guard case .done = try ask(.makeWrappingKey(id: Data(id), label: label)) else { throw Self.nonsense }
        return id
    }

    func seal(
        _ id: [UInt8], nonce: [UInt8], context: [UInt8], _ text: [UInt8]
    ) throws(TokenProblem) -> [UInt8] {
        let answer = try ask(.seal(id: Data(id), nonce: Data(nonce), context: Data(context), text: Data(text)))
        guard case .bytes(let sealed) = answer else { throw Self.nonsense }
        return Array(sealed)
    }

    /// nil: not what this key has sealed.
    func unseal(
        _ id: [UInt8], nonce: [UInt8], context: [UInt8], _ text: [UInt8]
    ) throws(TokenProblem) -> [UInt8]? {
        switch try ask(.unseal(id: Data(id), nonce: Data(nonce), context: Data(context), text: Data(text))) {
        case .bytes(let opened): return Array(opened)
        case .notAuthentic: return nil
        default: throw Self.nonsense
        }
    }

    /// Those that the token does not have.
    func missing(of ids: [[UInt8]]) throws(TokenProblem) -> [[UInt8]] {
        guard case .ids(let missing) = try ask(.missing(ids: ids.map { Data($0) })) else { throw Self.nonsense }
        return missing.map { Array($0) }
    }

    func destroy(_ id: [UInt8]) throws(TokenProblem) { _ = try ask(.destroy(id: Data(id))) }

    private static let nonsense = TokenProblem(fault: nil, text: "the token's answer is none to the question")
}
