import CCurl
import IO
import OpenSSL

/// libcurl's multi handle on a lane: its sockets and its one timer are the poller's.
final class Transfers: TimerTarget {
    /// Idle connections that are kept for the next request: one server is all that a client talks to.
    private static let idleLimit = 4

    private static let library: Void = {
        // Ours first: it keeps the system's openssl.cnf out.
        OpenSSLLibrary.prepare()
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
    }()

    private let poller: Poller
    private var multi: UnsafeMutableRawPointer?
    private var running: [UnsafeMutableRawPointer: Transfer] = [:]
    private var sockets: [Int32: SocketWatch] = [:]
    private var timer: TimerToken?

    private final class SocketWatch: Watcher {
        unowned let transfers: Transfers
        let socket: Int32
        var token: WatchToken?

        init(_ transfers: Transfers, _ socket: Int32) {
            self.transfers = transfers
            self.socket = socket
        }

        func becameReady(_ readiness: Readiness) {
            var events: Int32 = 0
            if !readiness.isDisjoint(with: [.readable, .hungUp]) { events |= CURL_CSELECT_IN }
            if readiness.contains(.writable) { events |= CURL_CSELECT_OUT }
            if readiness.contains(.failed) { events |= CURL_CSELECT_ERR }
            transfers.act(socket, events)
        }
    }

    init(poller: Poller) {
        Self.library
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl has no memory for a multi handle") }
        self.multi = multi
        self.poller = poller
        let owner = Unmanaged.passUnretained(self).toOpaque()
        CCurl_multi_long(multi, CURLMOPT_MAXCONNECTS, Self.idleLimit)
        CCurl_set_socket(
            multi,
            { _, socket, what, owner, _ in
                guard let owner else { return -1 }
                return Unmanaged<Transfers>.fromOpaque(owner).takeUnretainedValue().socketChanged(socket, what)
            }, owner)
        CCurl_set_timer(
            multi,
            { _, milliseconds, owner in
                guard let owner else { return -1 }
                Unmanaged<Transfers>.fromOpaque(owner).takeUnretainedValue().timerChanged(milliseconds)
                return 0
            }, owner)
    }

    deinit { precondition(multi == nil, "an HTTP client must be closed") }

    func start(_ transfer: Transfer) {
        running[transfer.handle] = transfer
        curl_multi_add_handle(multi, transfer.handle)
    }

    /// By number: the address of a handle may be another transfer's by now.
    func abort(_ number: UInt64) {
        if let transfer = running.values.first(where: { $0.number == number }) { abort(transfer) }
    }

    private func abort(_ transfer: Transfer) {
        curl_multi_remove_handle(multi, transfer.handle)
        running[transfer.handle] = nil
        transfer.abort()
    }

    /// Aborts what is under way and closes all connections; nothing may be started after it.
    func close() {
        for transfer in Array(running.values) { abort(transfer) }
        curl_multi_cleanup(multi)
        multi = nil
        if let timer { poller.cancel(timer) }
        timer = nil
    }

    func timerFired(_ token: TimerToken) {
        guard token == timer else { return }
        timer = nil
        act(CURL_SOCKET_TIMEOUT, 0)
    }

    private func act(_ socket: Int32, _ events: Int32) {
        var left: Int32 = 0
        curl_multi_socket_action(multi, socket, events, &left)
        var result = CURLE_OK
        while let handle = CCurl_done(multi, &result) {
            curl_multi_remove_handle(multi, handle)
            running.removeValue(forKey: handle)?.finished(result)
        }
    }

    /// Called by libcurl, also before it closes a socket; -1 ends its transfers.
    private func socketChanged(_ socket: Int32, _ what: Int32) -> Int32 {
        if what == CURL_POLL_REMOVE {
            forget(socket)
            return 0
        }
        var readiness: Readiness = []
        if what & CURL_POLL_IN != 0 { readiness.insert(.readable) }
        if what & CURL_POLL_OUT != 0 { readiness.insert(.writable) }
        if let token = sockets[socket]?.token, poller.change(token, level: readiness) { return 0 }
        forget(socket)
        let watch = SocketWatch(self, socket)
        guard let token = try? poller.watch(socket, level: readiness, watch) else { return -1 }
        watch.token = token
        sockets[socket] = watch
        return 0
    }

    private func forget(_ socket: Int32) {
        if let token = sockets.removeValue(forKey: socket)?.token { poller.unwatch(token) }
    }

    private func timerChanged(_ milliseconds: Int) {
        if let old = timer { poller.cancel(old) }
        timer = milliseconds < 0 ? nil : poller.schedule(after: .milliseconds(milliseconds), self)
    }
}
