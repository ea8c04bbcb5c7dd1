import HummingbirdCore
import Logging
import NIOCore
import NIOSSL

/// One accepted connection: TLS under the credentials of this moment, then HTTP/1.1 within stated limits. A connection
/// that is silent for `idleTimeout`, in the handshake too, is closed.
struct PlaneChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    static let idleTimeout = TimeAmount.seconds(30)
    static let headerLimit = 16 << 10

    private let base: HTTP1Channel
    private let credentials: ServerCredentials

    init(responder: @escaping HTTPChannelHandler.Responder, credentials: ServerCredentials) {
        base = HTTP1Channel(
            responder: responder,
            configuration: HTTP1Channel.Configuration(
                idleTimeout: Self.idleTimeout,
                httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                    maxHeaderFieldSize: Self.headerLimit, maxHeaderListSize: Self.headerLimit, maxHeaderFieldCount: 64))
        )
        self.credentials = credentials
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: credentials.context))
        }.flatMap {
            base.setup(channel: channel, logger: logger)
        }
    }

    func handle(value: Value, logger: Logger) async {
        await base.handle(value: value, logger: logger)
    }
}
