import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// One accepted connection: HTTP/1.1 within the limits of `StatusConfiguration`, then the answers of `LocalCalls`.
struct LocalChannel: Sendable {
    private let base: HTTP1Channel

    /// `asksCaller`: whether each call is answered, and audited, for whoever is connected (the control socket).
    init(calls: LocalCalls, asksCaller: Bool) {
        base = HTTP1Channel(
            responder: { request, writer, channel in
                let response = try await Self.respond(to: request, calls, asksCaller ? channel : nil)
                try await writer.write(response: response.head, body: response.body)
            },
            configuration: HTTP1Channel.Configuration(
                idleTimeout: .seconds(StatusConfiguration.silenceLimitSeconds),
                httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                    maxHeaderFieldSize: StatusConfiguration.headerLimit,
                    maxHeaderListSize: StatusConfiguration.headerLimit, maxHeaderFieldCount: 32)))
    }

    /// Serves a channel that was accepted without reading from it, until it ends or the task is cancelled.
    func serve(_ channel: any Channel, logger: Logger) async {
        do {
            let value = try await channel.eventLoop.flatSubmit { base.setup(channel: channel, logger: logger) }.get()
            // Not awaited: a channel that is closed by now fails this, and `handle` then ends at once.
            channel.setOption(.autoRead, value: true).whenFailure { _ in channel.close(promise: nil) }
            await base.handle(value: value, logger: logger)
        } catch {
            channel.close(promise: nil)
        }
    }

    private static func respond(
        to request: Request, _ calls: LocalCalls, _ channel: (any Channel)?
    ) async throws -> Response {
        var caller: PeerCredentials?
        if let channel { caller = try await PeerCredentials.read(from: channel) }
        let target = (request.head.path ?? "/").split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let answer = await calls.answer(
            method: request.method.rawValue, path: String(target.first ?? "/"),
            query: target.count > 1 ? String(target[1]) : nil, caller: caller)
        return Response(answer)
    }
}

extension Response {
    init(_ answer: LocalAnswer) {
        var headers: HTTPFields = [.contentType: answer.form.rawValue, .cacheControl: "no-store"]
        if let allowed = answer.allowed { headers[.allow] = allowed }
        self.init(
            status: .init(code: answer.status), headers: headers,
            body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body)))
    }
}
