import CCurl
import IO
import OpenSSL

/// libcurl's multi handle on a lane: its sockets and its one timer are the poller's.
final class Transfers: TimerTarget {
    private let multi: OpaquePointer
    private let poller: Poller
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
        OpenSSLLibrary.prepare()
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl has no memory for a multi handle") }
        self.multi = OpaquePointer(multi)
        self.poller = poller
        let owner = Unmanaged.passUnretained(self).toOpaque()
        CCurl_set_socket(
            multi,
            { _, socket, what, owner, _ in
                if let owner {
                    Unmanaged<Transfers>.fromOpaque(owner).takeUnretainedValue().socketChanged(socket, what)
                }
                return 0
            }, owner)
        CCurl_set_timer(
            multi,
            { _, milliseconds, owner in
                if let owner { Unmanaged<Transfers>.fromOpaque(owner).takeUnretainedValue().timerChanged(milliseconds) }
                return 0
            }, owner)
    }

    deinit { curl_multi_cleanup(UnsafeMutableRawPointer(multi)) }

    var count: Int { running.count }

    func start(_ transfer: Transfer) {
        running[transfer.handle] = transfer
        curl_multi_add_handle(UnsafeMutableRawPointer(multi), transfer.handle)
    }

    func abort(_ handle: UnsafeMutableRawPointer) {
        guard let transfer = running.removeValue(forKey: handle) else { return }
        curl_multi_remove_handle(UnsafeMutableRawPointer(multi), handle)
        transfer.abort()
    }

    func abortAll() {
        for handle in Array(running.keys) { abort(handle) }
    }

    func timerFired(_ token: TimerToken) {
        guard token == timer else { return }
        timer = nil
        act(CURL_SOCKET_TIMEOUT, 0)
    }

    private func act(_ socket: Int32, _ events: Int32) {
        var left: Int32 = 0
        curl_multi_socket_action(UnsafeMutableRawPointer(multi), socket, events, &left)
        var result = CURLE_OK
        while let handle = CCurl_done(UnsafeMutableRawPointer(multi), &result) {
            curl_multi_remove_handle(UnsafeMutableRawPointer(multi), handle)
            running.removeValue(forKey: handle)?.finished(result)
        }
    }

    /// Called by libcurl, also before it closes a socket.
    private func socketChanged(_ socket: Int32, _ what: Int32) {
        if what == CURL_POLL_REMOVE {
            if let token = sockets.removeValue(forKey: socket)?.token { poller.unwatch(token) }
            return
        }
        var readiness: Readiness = []
        if what & CURL_POLL_IN != 0 { readiness.insert(.readable) }
        if what & CURL_POLL_OUT != 0 { readiness.insert(.writable) }
        if let token = sockets[socket]?.token {
            poller.change(token, level: readiness)
        } else {
            let watch = SocketWatch(self, socket)
            watch.token = try? poller.watch(socket, level: readiness, watch)
            sockets[socket] = watch
        }
    }

    private func timerChanged(_ milliseconds: Int) {
        if let old = timer { poller.cancel(old) }
        timer = milliseconds < 0 ? nil : poller.schedule(after: .milliseconds(milliseconds), self)
    }
}
