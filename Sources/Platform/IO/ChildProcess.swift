import CLinux
import Dispatch
import Glibc
import Synchronization

/// Another program that this one has started. Its owner waits for its end, or it stays a zombie (waitpid(2)).
///
/// Not Foundation's `Process`: that hands on the signals that its thread blocks, SIGTERM and SIGALRM among them, and
/// reads behind the end of readdir(3)'s buffer while it starts a program, of which this one dies now and then.
/// Safe from any thread.
package final class ChildProcess: Sendable {
    package enum Ending: Sendable, Equatable {
        case exited(Int32)
        case signalled(Int32)

        /// As a shell tells it: 128 and the signal if one ended it.
        package var status: Int32 {
            switch self {
            case .exited(let status): status
            case .signalled(let number): 128 + number
            }
        }
    }

    package let identifier: Int32
    private let leadsGroup: Bool
    private let reaped = Mutex<Ending?>(nil)

    /// Starts `program`: a path, or a name that is looked up in PATH. It has the descriptors that it is given, its
    /// caller's in place of nil, and no others; no signal is blocked or ignored.
    ///
    /// `environment`: nil for the caller's. `leadsGroup`: it gets a process group of its own, all of which `signal`
    /// reaches. Throws if there is no such program.
    package init(
        _ program: String, _ arguments: [String] = [], environment: [String: String]? = nil,
        directory: String? = nil, input: Int32? = nil, output: Int32? = nil, errors: Int32? = nil,
        leadsGroup: Bool = false
    ) throws(IOError) {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (own, its) in [(input, STDIN_FILENO), (output, STDOUT_FILENO), (errors, STDERR_FILENO)] {
            if let own { posix_spawn_file_actions_adddup2(&actions, own, its) }
        }
        _ = CLinux_spawn_closing_from(&actions, STDERR_FILENO + 1)
        if let directory { _ = CLinux_spawn_in(&actions, directory) }
        CLinux_heed_children()
        Self.prepare(&attributes, leadsGroup: leadsGroup)
        let variables = environment.map { $0.map { "\($0)=\($1)" } }
        var process: pid_t = 0
        let failure = Self.withStrings([program] + arguments) { words in
            guard let variables else {
                return posix_spawnp(&process, program, &actions, &attributes, words, CLinux_environment())
            }
            return Self.withStrings(variables) {
                posix_spawnp(&process, program, &actions, &attributes, words, $0)
            }
        }
        guard failure == 0 else { throw IOError("start \(program)", code: failure) }
        identifier = process
        self.leadsGroup = leadsGroup
    }

    private static func prepare(_ attributes: inout posix_spawnattr_t, leadsGroup: Bool) {
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        for fixed in [SIGKILL, SIGSTOP] { sigdelset(&all, fixed) }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (leadsGroup ? POSIX_SPAWN_SETPGROUP : 0)
        posix_spawnattr_setflags(&attributes, Int16(flags))
    }

    private static func withStrings<Result>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    /// How it has ended; nil: it runs.
    package var ending: Ending? { reaped.withLock { reap(&$0) } }

    private func reap(_ known: inout Ending?) -> Ending? {
        var status: Int32 = 0
        if known != nil { return known }
        switch retrying({ waitpid(identifier, &status, WNOHANG) }) {
        case identifier: known = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
        case 0: break
        // Somebody else has waited for it: how it ended is lost, and that is no success.
        default: known = .exited(255)
        }
        return known
    }

    /// Blocks the thread until it has ended.
    @discardableResult
    package func wait() -> Ending {
        while true {
            // Without the lock: others may signal it meanwhile.
            var information = siginfo_t()
            _ = retrying { waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) }
            if let ending { return ending }
        }
    }

    /// The same, for no longer than `limit`: then it is killed, with its group. nil: it was.
    package func wait(within limit: Duration) -> Ending? {
        let ran = DispatchSemaphore(value: 0)
        let overdue = DispatchWorkItem {
            self.signal(SIGKILL)
            ran.signal()
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + limit.seconds, execute: overdue)
        let ending = wait()
        overdue.cancel()
        return ran.wait(timeout: .now()) == .success && ending == .signalled(SIGKILL) ? nil : ending
    }

    /// Nothing, once its end is known: its number may be another's.
    package func signal(_ number: Int32) {
        reaped.withLock { known in
            if reap(&known) == nil { kill(leadsGroup ? -identifier : identifier, number) }
        }
    }
}
