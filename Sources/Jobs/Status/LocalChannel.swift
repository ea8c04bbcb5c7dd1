import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// One accepted connection: HTTP/1.1 within the limits of `StatusConfiguration`, then the answers of `LocalCalls`.
struct LocalChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

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

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let limit = channel.eventLoop.scheduleTask(in: .seconds(StatusConfiguration.lifetimeLimitSeconds)) {
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in limit.cancel() }
        return base.setup(channel: channel, logger: logger)
    }

    func handle(value: Value, logger: Logger) async {
        await base.handle(value: value, logger: logger)
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
