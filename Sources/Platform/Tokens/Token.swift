import Dispatch
import Glibc
import IO
import OpenSSL
import Reports
import Synchronization

/// What can be said of a token at one moment.
package struct TokenCondition: Sendable, Equatable {
    package let store: KeyStore
    /// nil: it is used.
    package let fault: TokenStateMachine.Fault?
    package let detail: String
}

/// Why a token did not do what a job wanted, in words for people.
package struct TokenFailure: Error, Sendable, CustomStringConvertible {
    package let description: String
    /// The token cannot be used now, whatever it is asked.
    package let isUnavailable: Bool
}

/// One token and the process that has it open. Safe from any thread.
///
/// Whoever signs blocks until it is done, at most `limit`, and knows at once when the token is not to be had: so only
/// lanes and queues on which nothing else is lived may sign.
package final class Token: Sendable {
    /// Of one signature; then the token is taken for hung.
    static let limit = Duration.seconds(5)
    /// For others' turns. With the signature's it is less than a lane may be silent (`WatchdogStateMachine`).
    private static let patience = 3.0
    /// Tokens take their time to find the primes of RSA.
    private static let generationLimit = Duration.seconds(30)

    private struct State {
        var machine: TokenStateMachine
        var process: TokenProcess?
        /// Killed, and not waited for: a process inside a driver may take its time to die.
        var ended: [ChildProcess] = []
        var detail = "it was not opened yet"
        /// Of the PIN's file, before it was read.
        var pinMark: FileMark?
        /// The last that was asked for: what is done again to see that a token that failed has recovered.
        var last: TokenRequest?
        /// What `changed` was told.
        var told: TokenStateMachine.Fault??
    }

    package let store: KeyStore
    private let program: String
    /// Of `PINRecord`, which the process writes and heeds.
    private let record: String
    private let changed: @Sendable (TokenCondition) -> Void
    private let figures: TokenFigures
    /// Whoever has it talks with the process.
    private let gate = DispatchSemaphore(value: 1)
    private let state: Mutex<State>
    private let alarm: Alarm
    private let queue: SerialQueue

    /// `program`: what is started with the argument `hold-keys`. `changed`: told of each change, on any thread.
    init(
        _ store: KeyStore, program: String, stateDirectory: String, metrics: Metrics,
        changed: @escaping @Sendable (TokenCondition) -> Void
    ) {
        self.store = store
        self.program = program
        self.changed = changed
        record = PINRecord.file(of: store, in: stateDirectory)
        figures = TokenFigures(store, metrics)
        state = Mutex(State(machine: TokenStateMachine()))
        alarm = Alarm(label: "token")
        queue = SerialQueue(label: "token", isPatient: true)
        figures.watch(self)
    }

    package var isAvailable: Bool { state.withLock { $0.machine.isWorking } }

    package var condition: TokenCondition {
        state.withLock { state in
            let fault = state.machine.isWorking ? nil : state.machine.fault ?? .unreachable
            return TokenCondition(store: store, fault: fault, detail: fault == nil ? "" : state.detail)
        }
    }

    // MARK: life

    /// Opens it, once; returns when that is decided.
    func start() async {
        if state.withLock({ $0.machine.nextAction(at: Self.now) }) == .open { await onQueue { $0.open() } }
        tell()
    }

    /// Once for each change, however often it is tried in vain.
    private func tell() {
        let condition = condition
        let isNews = state.withLock { state in
            defer { state.told = .some(condition.fault) }
            return state.told != .some(condition.fault)
        }
        if isNews { changed(condition) }
    }

    /// Opens it again whenever it is time, until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            switch state.withLock({ $0.machine.nextAction(at: Self.now) }) {
            case .open: await onQueue { $0.open() }
            case .wait(let time):
                let pause = time.map { Duration.seconds(max(0, $0 - Self.now)) } ?? .seconds(3600)
                _ = await alarm.wait(for: pause)
                // Whether it is another PIN is for the process to say that reads it.
                state.withLock { state in
                    if hasPassed(state.pinMark) { state.machine.pinChanged() }
                }
            }
        }
        state.withLock { state in
            state.process?.child.signal(SIGKILL)
            state.process = nil
        }
    }

    private static var now: Double { origin.duration(to: .now).seconds }
    private static let origin = ContinuousClock.now

    private func onQueue<Value: Sendable>(_ body: @escaping @Sendable (Token) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            queue.submit { continuation.resume(returning: body(self)) }
        }
    }

    private func open() {
        gate.wait()
        defer { gate.signal() }
        state.withLock { $0.ended.removeAll { $0.ending != nil } }
        do throws(TokenError) {
            let process = try opened()
            state.withLock { state in
                state.process = process
                state.machine.opened()
            }
            tell()
        } catch {
            fail(error)
        }
    }

    private func opened() throws(TokenError) -> TokenProcess {
        let process = try begun()
        guard let last = state.withLock({ $0.last }) else { return process }
        do throws(TokenError) {
            // One that hangs may open, and hang again at the next handshake.
            _ = try process.ask(last, within: Self.limit)
            return process
        } catch {
            end(process)
            if case .fault(.silent, _) = error { throw error }
            // That one key is no more there is no reason to keep the others from being used.
            return try begun()
        }
    }

    private func begun() throws(TokenError) -> TokenProcess {
        let mark = pinMark
        state.withLock { $0.pinMark = mark }
        let process = try TokenProcess(program: program)
        do throws(TokenError) {
            _ = try process.ask(.open(store: store.text, record: record), within: Self.limit)
            return process
        } catch {
            end(process)
            throw error
        }
    }

    /// nil: there is no such file.
    private var pinMark: FileMark? {
        guard case .pkcs11(let uri) = store else { return nil }
        return uri.pin.flatMap { TokenPIN.path($0) }.flatMap { FileMark(of: $0) }
    }

    /// There is a PIN's file, and another one than was refused; or an operator has taken the refusal away.
    private func hasPassed(_ mark: FileMark?) -> Bool {
        !Files.exists(record) || pinMark.map { $0 != mark } ?? false
    }

    private func end(_ process: TokenProcess) {
        process.child.signal(SIGKILL)
        state.withLock { $0.ended.append(process.child) }
    }

    /// Whoever has the gate says so.
    private func fail(_ error: TokenError) {
        let (fault, text): (TokenStateMachine.Fault, String) =
            switch error {
            case .fault(let fault, let text): (fault, text)
            case .refused(let text): (.unreachable, text)
            }
        let process = state.withLock { state in
            state.machine.failed(fault, at: Self.now)
            state.detail = text
            defer { state.process = nil }
            return state.process
        }
        if let process { end(process) }
        tell()
        alarm.ring()
    }

    // MARK: use

    /// nil: it was not done.
    func sign(_ key: [UInt8], _ operation: KeyOperation) -> [UInt8]? {
        let began = ContinuousClock.now
        guard isAvailable, gate.wait(timeout: .now() + Self.patience) == .success else {
            figures.refused.add()
            return nil
        }
        defer { gate.signal() }
        let request = TokenRequest.sign(key: key, TokenOperation(operation))
        state.withLock { $0.last = request }
        do throws(TokenError) {
            guard case .signature(let signature) = try ask(request, Self.limit) else { return nil }
            figures.signed(in: (ContinuousClock.now - began).seconds)
            return signature
        } catch {
            figures.failed.add()
            return nil
        }
    }

    /// `name`: sixteen random octets that are on the disk already, so that the key can be destroyed whatever happens.
    func generate(
        _ kind: KeyKind, name: [UInt8], label: String
    ) async throws(TokenFailure) -> (key: [UInt8], publicKey: [UInt8]) {
        let answer = await command(.generate(kind: kind.rawValue, name: name, label: label), Self.generationLimit)
        guard case .generated(let key, let publicKey) = try answer.get() else {
            throw TokenFailure(description: "the token's answer is none", isUnavailable: false)
        }
        return (key, publicKey)
    }

    func destroy(_ key: [UInt8]) async throws(TokenFailure) {
        state.withLock { state in
            if case .sign(key, _)? = state.last { state.last = nil }
        }
        _ = try await command(.destroy(key: key), Self.limit).get()
    }

    private func command(_ request: TokenRequest, _ limit: Duration) async -> Result<TokenAnswer, TokenFailure> {
        await onQueue { token in
            token.gate.wait()
            defer { token.gate.signal() }
            do throws(TokenError) {
                return .success(try token.ask(request, limit))
            } catch {
                switch error {
                case .fault(_, let text): return .failure(TokenFailure(description: text, isUnavailable: true))
                case .refused(let text): return .failure(TokenFailure(description: text, isUnavailable: false))
                }
            }
        }
    }

    /// Whoever has the gate.
    private func ask(_ request: TokenRequest, _ limit: Duration) throws(TokenError) -> TokenAnswer {
        let process = state.withLock { $0.machine.isWorking ? $0.process : nil }
        guard let process else { throw .fault(.unreachable, condition.detail) }
        do throws(TokenError) {
            let answer = try process.ask(request, within: limit)
            state.withLock { $0.machine.performed() }
            return answer
        } catch {
            if case .fault = error { fail(error) }
            throw error
        }
    }
}
