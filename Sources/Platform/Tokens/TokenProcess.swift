import Glibc
import IO

/// The process that has a token open, as its parent sees it. One question at a time.
final class TokenProcess: Sendable {
    let child: ChildProcess
    private let socket: SeqPacketSocket

    init(program: String) throws(TokenError) {
        do throws(IOError) {
            let pair = try SeqPacketSocket.pair()
            child = try ChildProcess(program, ["hold-keys"], input: pair.far.rawValue)
            socket = pair.takeNear()
        } catch {
            throw .fault(.unreachable, error.description)
        }
    }

    /// Blocks for `limit` at most; what has not answered by then is to be ended.
    func ask(_ request: TokenRequest, within limit: Duration) throws(TokenError) -> TokenAnswer {
        var bytes: [UInt8]?
        do throws(IOError) {
            try socket.send(TokenWire.encode(request))
            if socket.awaitMessage(within: limit) {
                bytes = try socket.receive(limit: TokenWire.messageLimit).bytes
            }
        } catch {
            throw .fault(.unreachable, "the process that had it open is gone")
        }
        guard let bytes else { throw .fault(.silent, "no answer within \(limit.components.seconds) s") }
        guard let answer: TokenAnswer = TokenWire.decode(bytes) else {
            throw .fault(.unreachable, "the process that had it open has ended, and with it its module")
        }
        switch answer {
        case .failed(let fault, let text): throw .fault(fault, text)
        case .refused(let text): throw .refused(text)
        default: return answer
        }
    }
}
