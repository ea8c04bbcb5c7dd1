import FoundationEssentials
import Glibc

/// The process that has the token open (`TokenServer`), as the plane sees it. One question at a time.
final class TokenProcess: Sendable {
    private let pid: pid_t
    private let socket: Int32

    /// `program`: this program, which is started with the argument `hold-keys`.
    init(program: String) throws(TokenProblem) {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw Self.problem("no socket pair", errno)
        }
        defer { close(pair[1]) }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, pair[1], STDIN_FILENO)
        // A module that prints does not print among the answers of a verb.
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pid: pid_t = 0
        let state = Self.withStrings(["nodeguard-plane", "hold-keys"]) { words in
            Self.withStrings(Self.environment) { posix_spawn(&pid, program, &actions, &attributes, words, $0) }
        }
        guard state == 0 else {
            close(pair[0])
            throw Self.problem("\(program) does not start", state)
        }
        self.pid = pid
        socket = pair[0]
    }

    deinit { close(socket) }

    /// Whatever it is doing. True: it is gone; else it is to be asked again, as a process within a driver takes its
    /// time to die.
    func end() -> Bool {
        kill(pid, SIGKILL)
        return waitpid(pid, nil, WNOHANG) != 0
    }

    /// Blocks for `seconds` at most; what has not answered by then is to be ended.
    func ask(_ request: TokenRequest, within seconds: Int) throws(TokenProblem) -> TokenAnswer {
        guard TokenWire.send(TokenWire.encode(request), socket) else { throw Self.gone }
        let end = ContinuousClock.now + .seconds(seconds)
        var watched = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        while true {
            let left = ContinuousClock.now.duration(to: end) / .milliseconds(1)
            guard left > 0 else { throw TokenProblem(fault: .silent, text: "no answer within \(seconds) s") }
            let state = poll(&watched, 1, Int32(left.rounded(.up)))
            if state > 0 { break }
        }
        guard let message = TokenWire.receive(socket), let answer: TokenAnswer = TokenWire.decode(message) else {
            throw Self.gone
        }
        switch answer {
        case .failed(let fault, let text):
            throw TokenProblem(fault: KeyTokenStateMachine.Fault(rawValue: fault) ?? .unreachable, text: text)
        case .refused(let text): throw TokenProblem(fault: nil, text: text)
        default: return answer
        }
    }

    private static let gone = TokenProblem(fault: .unreachable, text: "the process that had it open has ended")

    private static func problem(_ what: String, _ number: Int32) -> TokenProblem {
        TokenProblem(fault: .unreachable, text: "\(what): \(String(cString: strerror(number)))")
    }

    /// What modules are configured with is in it; what leads to the database is not for them.
    private static var environment: [String] {
        ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("PG") && $0.key != StateOption.variable }.map { "\($0.key)=\($0.value)" }
    }

    private static func withStrings<Value>(
        _ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        var pointers = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(&pointers)
    }
}

enum TokenWire {
    /// Some hundreds of keys in one question are well below.
    static let limit = 64 << 10

    static func encode(_ value: some Encodable) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            preconditionFailure("bytes and texts do not become JSON: \(error)")
        }
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8]) -> Value? {
        try? JSONDecoder().decode(Value.self, from: Data(bytes))
    }

    static func send(_ bytes: [UInt8], _ socket: Int32) -> Bool {
        while true {
            let count = Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            if count == bytes.count { return true }
            guard count < 0, errno == EINTR else { return false }
        }
    }

    /// nil: the other side is gone.
    static func receive(_ socket: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: limit)
        while true {
            let count = recv(socket, &bytes, bytes.count, 0)
            if count > 0 { return Array(bytes.prefix(count)) }
            guard count < 0, errno == EINTR else { return nil }
        }
    }
}
