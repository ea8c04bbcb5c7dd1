import FoundationEssentials
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import PlaneAPI

/// The running plane: all routes behind TLS, and the care that nobody should have to think of (its own certificate, new
/// clusters, old records).
struct PlaneServer: Sendable {
    let state: PlaneState
    let listen: ListenAddress
    let names: [String]
    let logger: Logger

    private let news = RevocationNews()
    private let desiredNews = RevocationNews()
    private let desiredTags = DesiredTags()
    private let trustWatch = TrustWatch()
    private let calls: Calls
    private let memory: LogMemory

    init(state: PlaneState, listen: ListenAddress, names: [String], memory: LogMemory, logger: Logger) {
        self.state = state
        self.memory = memory
        self.listen = listen
        self.names = names
        self.logger = logger
        calls = Calls(state: state, logger: logger)
    }

    /// Two for each of 5000 nodes, which wait for revocations and for their desired state, and those of the others.
    static let connectionLimit = 12_288
    /// How soon a running plane trusts the authority of a cluster that another process just made.
    static let refreshInterval = TimeAmount.seconds(1)

    /// For the store, files and threads.
    private static let otherDescriptors = 256

    func run(onListening: @escaping @Sendable (String) -> Void) async throws {
        let credentials = try ServerCredentials(
            state: state, dns: certificateNames, addresses: certificateAddresses, now: UnixTime.now)
        let application = Application(
            router: router(credentials),
            server: HTTPServerBuilder { responder in PlaneChannel(responder: responder, credentials: credentials) },
            configuration: ApplicationConfiguration(
                address: .hostname(listen.host, port: listen.port), backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    min(Self.connectionLimit, max(64, DescriptorLimit.raise() - Self.otherDescriptors)),
                    logger: logger)),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? listen.port
                do {
                    try await publish(url: listen.url(host: bundleHost, port: port))
                } catch {
                    logger.error("the address for join bundles is not stored", metadata: ["error": "\(error)"])
                }
                // Those who wait for a list would hold up the end.
                channel.closeFuture.whenComplete { [news, desiredNews] _ in
                    news.close()
                    desiredNews.close()
                }
                onListening(listen.url(host: listen.host, port: port))
            },
            logger: logger)
        let upkeep = beginUpkeep(credentials)
        let watch = beginWatch()
        let care = beginTokenCare()
        defer {
            upkeep.cancel()
            watch.cancel()
            care?.cancel()
        }
        try await application.runService()
        try await offLoop { [calls, memory, state] in
            try calls.refusals.recordAll(now: UnixTime.now)
            try memory.keep(state.database)
        }
    }

    /// Every call that is answered, as `METHOD PATH`.
    var callNames: [String] { router(nil).routes.map(\.description) }

    private func router(_ credentials: ServerCredentials?) -> Router<PlaneRequestContext> {
        let router = Router(context: PlaneRequestContext.self)
        ESTRoutes(calls: calls, credentials: credentials).add(to: router)
        RevocationRoutes(calls: calls, news: news).add(to: router)
        CustodyRoutes(calls: calls).add(to: router)
        AuditRoutes(calls: calls).add(to: router)
        ObservedRoutes(calls: calls).add(to: router)
        DesiredRoutes(calls: calls, news: desiredNews).add(to: router)
        RecoveryRoutes(calls: calls).add(to: router)
        HealthRoutes(calls: calls).add(to: router)
        return router
    }

    private func publish(url: String) async throws {
        try await state.database.write { try PlaneState.set(PlaneState.urlSetting, to: Data(url.utf8), $0) }
    }

    /// Blocking work, so on NIO's thread pool and never on an event loop.
    private func beginUpkeep(_ credentials: ServerCredentials) -> RepeatedTask {
        MultiThreadedEventLoopGroup.singleton.any().scheduleRepeatedAsyncTask(
            initialDelay: Self.refreshInterval, delay: Self.refreshInterval
        ) { [state, calls, memory, logger] task in
            NIOThreadPool.singleton.runIfActive(eventLoop: MultiThreadedEventLoopGroup.singleton.any()) {
                let now = UnixTime.now
                /// Each for itself: one that fails holds up no other.
                func attempt(_ what: String, _ body: () throws -> Void) {
                    do { try body() } catch {
                        logger.error(
                            "upkeep failed; it is tried again", metadata: ["of": "\(what)", "error": "\(error)"])
                    }
                }
                attempt("the head of the own log, which is kept in mind") { try memory.keep(state.database) }
                attempt("records of refusals") { try calls.refusals.recordPassed(now: now) }
                // The rest signs.
                if state.keys.token?.condition.fault != nil { return }
                attempt("the plane's certificate") { try credentials.refresh(now: now) }
                attempt("desired states") {
                    for (cluster, error) in try DesiredStates.renewDue(state, now: now) {
                        attempt("what is desired of \(cluster)") { throw error }
                    }
                }
                guard now.isMultiple(of: 600) else { return }
                attempt("what is over") {
                    try state.database.write { database in
                        try IssuedCertificates.trim(now: now, database)
                        try KeyCustody(state: state).forgetDeleted(now: now, database)
                        try KeyCustody.grants.trim(now: now, database)
                    }
                }
            }
        }
    }

    /// Revocations and desired states are made by other processes.
    private func beginWatch() -> RepeatedTask {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        return loop.scheduleRepeatedAsyncTask(
            initialDelay: RevocationNews.interval, delay: RevocationNews.interval
        ) { [state, logger, news, desiredNews, desiredTags, trustWatch] _ in
            NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
                do {
                    try news.look { cluster in
                        try state.database.read {
                            try RevocationNews.mark(of: cluster, now: UnixTime.now, $0)
                        }
                    }
                } catch { logger.error("nobody can tell who is revoked", metadata: ["error": "\(error)"]) }
                do {
                    try state.database.read { try desiredTags.refresh($0) }
                    desiredNews.look { desiredTags.tag(of: $0) }
                    if try state.database.read({ try trustWatch.hasChanged($0) }) { desiredNews.wake() }
                } catch { logger.error("nobody can tell what is desired", metadata: ["error": "\(error)"]) }
            }
        }
    }

    /// A wildcard is no place to connect to: a name is, or this machine's own.
    private var bundleHost: String {
        listen.isUnspecified ? names.first ?? "localhost" : listen.host
    }

    private var certificateNames: [String] {
        let own = NetworkAddress(listen.host) == nil ? [listen.host] : []
        return (own + ["localhost"] + names).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private var certificateAddresses: [NetworkAddress] {
        guard let address = NetworkAddress(listen.host), !address.isUnspecified else {
            return ["127.0.0.1", "::1"].compactMap { NetworkAddress($0) }
        }
        return [address]
    }
}

/// `ADDR:PORT`, an IPv6 address in brackets.
struct ListenAddress: Sendable, Equatable {
    let host: String
    let port: Int

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard NetworkAddress(host)?.bytes.count == 16 else { return nil }
        } else if host.contains(":") || host.isEmpty {
            return nil
        }
        self.host = host
        self.port = Int(port)
    }

    var isUnspecified: Bool { NetworkAddress(host)?.isUnspecified ?? false }

    func url(host: String, port: Int) -> String {
        "https://" + (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
    }
}
