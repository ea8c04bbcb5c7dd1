import CPKCS11
import Dispatch
import FoundationEssentials
import Glibc

/// The process that has the plane's token open: one session, one thing at a time, until the plane is gone.
///
/// A process and no thread: a module that hangs is killed with it, one that crashes takes nothing along, its end is the
/// one way to begin anew that every module knows, and the PIN is never in the plane.
enum TokenServer {
    /// Serves the socket that it was started with as its standard input.
    static func run() {
        // No core dump and no debugger of the same user finds the PIN, or the module's memory.
        _ = CPKCS11_forbid_dumps()
        // Those go to whole groups; the plane may still need a signature to end in order, and takes this one along.
        for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
        endWithPlane()
        var session: TokenSession?
        while let message = TokenWire.receive(STDIN_FILENO) {
            guard let request: TokenRequest = TokenWire.decode(message) else { return }
            let answer: TokenAnswer
            do throws(TokenError) {
                answer = try perform(request, &session)
            } catch {
                answer = error.answer
            }
            guard TokenWire.send(TokenWire.encode(answer), STDIN_FILENO) else { return }
            if case .failed = answer { return }
        }
    }

    /// Also in the middle of a call of the module that does not end.
    private static func endWithPlane() {
        DispatchQueue.global().async {
            var watched = pollfd(fd: STDIN_FILENO, events: Int16(POLLHUP), revents: 0)
            while poll(&watched, 1, -1) < 0 {}
            _exit(0)
        }
    }

    private static func perform(
        _ request: TokenRequest, _ session: inout TokenSession?
    ) throws(TokenError) -> TokenAnswer {
        if case .open(let text, let record) = request {
            let address: TokenAddress
            do throws(PlaneProblem) { address = try TokenAddress(text) } catch { throw .refused(error.description) }
            session = try TokenSession(address, RefusedPIN(path: record, token: address.text))
            return .done
        }
        guard let session else { throw .refused("no token is open") }
        switch request {
        case .open: return .done
        case .makeSigningKey(let id, let label):
            return .bytes(Data(try session.makeSigningKey(Array(id), label: label)))
        case .makeWrappingKey(let id, let label):
            try session.makeWrappingKey(Array(id), label: label)
            return .done
        case .sign(let id, let digest): return .bytes(Data(try session.sign(Array(id), digest: Array(digest))))
        case .seal(let id, let nonce, let context, let text):
            let sealed = try session.crypt(
                Array(id), isSealing: true, nonce: Array(nonce), context: Array(context), Array(text))
            return .bytes(Data(sealed ?? []))
        case .unseal(let id, let nonce, let context, let text):
            let opened = try session.crypt(
                Array(id), isSealing: false, nonce: Array(nonce), context: Array(context), Array(text))
            return opened.map { .bytes(Data($0)) } ?? .notAuthentic
        case .missing(let ids):
            var missing: [Data] = []
            for id in ids where try !session.has(Array(id)) { missing.append(id) }
            return .ids(missing)
        case .destroy(let id):
            try session.destroy(Array(id))
            return .done
        }
    }
}
