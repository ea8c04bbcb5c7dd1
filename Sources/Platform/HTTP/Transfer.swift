import CCurl
import Glibc
import OpenSSL

/// One request on its way: libcurl's easy handle, what has arrived, and who waits.
///
/// Lives in the client's lane; libcurl's callbacks run inside its poll.
final class Transfer {
    /// Called once, in the client's lane.
    typealias Waiter = @Sendable (Result<HTTPResponse, HTTPError>) -> Void

    private static let headerLimit = 16 << 10
    /// A longer body, such as a part of a backup, is not held twice: libcurl asks for it piece by piece.
    private static let copyLimit = 256 << 10

    let handle: UnsafeMutableRawPointer
    let number: UInt64
    private let request: HTTPRequest
    private let trust: ClientTrust
    private let identity: TLSIdentity?
    private let waiter: Waiter
    private let errorText: UnsafeMutablePointer<CChar>
    private let requestBody: UnsafeMutableBufferPointer<UInt8>
    private let isBodyRead: Bool
    private var sentCount = 0
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var headers: [(name: String, value: String)] = []
    private var headerByteCount = 0
    private var body: [UInt8] = []
    /// Takes the body where it may hold a secret.
    private let secretBody: SecretBuffer?
    private var peerChain: [Certificate] = []
    /// Why a callback of ours ended the transfer.
    private var ownReason: HTTPError?

    init?(
        _ request: HTTPRequest, _ number: UInt64, trust: ClientTrust, identity: TLSIdentity?, waiter: @escaping Waiter
    ) {
        guard let handle = curl_easy_init() else { return nil }
        self.handle = handle
        self.number = number
        self.request = request
        self.trust = trust
        self.identity = identity
        self.waiter = waiter
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        secretBody = request.answersSecret ? SecretBuffer(capacity: request.responseLimit) : nil
        isBodyRead = request.body.count > Self.copyLimit
        requestBody = .allocate(capacity: isBodyRead ? 1 : max(1, request.body.count))
        if !isBodyRead { _ = requestBody.initialize(from: request.body) }
        setLimits()
        setTLS()
        setRequest()
    }

    deinit {
        curl_easy_cleanup(handle)
        curl_slist_free_all(headerList)
        errorText.deallocate()
        if let start = requestBody.baseAddress { explicit_bzero(start, requestBody.count) }
        requestBody.deallocate()
    }

    private var isPlaintext: Bool {
        if case .plaintext = trust { true } else { false }
    }

    private var owner: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    private func setLimits() {
        CCurl_set_string(handle, CURLOPT_PROTOCOLS_STR, isPlaintext ? "http" : "https")
        CCurl_set_long(handle, CURLOPT_FOLLOWLOCATION, 0)
        CCurl_set_long(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
        CCurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        // Without it the end of a transfer waits for a resolver that hangs, and the lane with it (libcurl-thread(3)).
        CCurl_set_long(handle, CURLOPT_QUICK_EXIT, 1)
        CCurl_set_string(handle, CURLOPT_PROXY, "")
        CCurl_set_long(handle, CURLOPT_TIMEOUT_MS, request.timeout.milliseconds)
        CCurl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.milliseconds)
        if let rate = request.sendRate {
            CCurl_set_size(handle, CURLOPT_MAX_SEND_SPEED_LARGE, curl_off_t(max(1, rate)))
        }
        if let stall = request.stallTimeout {
            CCurl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1024)
            CCurl_set_long(handle, CURLOPT_LOW_SPEED_TIME, max(1, stall.milliseconds / 1000))
        }
        CCurl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
        CCurl_set_pointer(handle, CURLOPT_WRITEDATA, owner)
        CCurl_set_write(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, owner in
            Transfer.from(owner)?.received(bytes, size * count) ?? 0
        }
        CCurl_set_pointer(handle, CURLOPT_HEADERDATA, owner)
        CCurl_set_write(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, owner in
            Transfer.from(owner)?.receivedHeader(bytes, size * count) ?? 0
        }
    }

    private func setTLS() {
        CCurl_set_long(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        CCurl_set_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // The store is ours alone: without these libcurl would read the system's bundle first, and from its cache put
        // it in place of ours (curl/curl#11800).
        CCurl_set_string(handle, CURLOPT_CAINFO, nil)
        CCurl_set_string(handle, CURLOPT_CAPATH, nil)
        CCurl_set_long(handle, CURLOPT_CA_CACHE_TIMEOUT, 0)
        switch trust {
        case .anchors, .plaintext:
            CCurl_set_long(handle, CURLOPT_SSL_VERIFYPEER, 1)
            CCurl_set_long(handle, CURLOPT_SSL_VERIFYHOST, 2)
        case .provisional:
            CCurl_set_long(handle, CURLOPT_SSL_VERIFYPEER, 0)
            CCurl_set_long(handle, CURLOPT_SSL_VERIFYHOST, 0)
            CCurl_set_long(handle, CURLOPT_FORBID_REUSE, 1)
            CCurl_set_long(handle, CURLOPT_FRESH_CONNECT, 1)
        }
        CCurl_set_long(handle, CURLOPT_SSL_SESSIONID_CACHE, 0)
        CCurl_set_pointer(handle, CURLOPT_SSL_CTX_DATA, owner)
        CCurl_set_context(handle) { _, context, owner in
            guard let transfer = Transfer.from(owner), let context else { return CURLE_ABORTED_BY_CALLBACK }
            return transfer.configure(context) ? CURLE_OK : CURLE_ABORTED_BY_CALLBACK
        }
    }

    private func setRequest() {
        CCurl_set_string(handle, CURLOPT_URL, request.url)
        CCurl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        if request.method == "HEAD" {
            CCurl_set_long(handle, CURLOPT_NOBODY, 1)
        } else if !request.body.isEmpty || request.method != "GET" {
            CCurl_set_long(handle, CURLOPT_POST, 1)
            CCurl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count))
            if isBodyRead {
                setReader()
            } else {
                CCurl_set_pointer(handle, CURLOPT_POSTFIELDS, requestBody.baseAddress)
            }
        }
        // No "Expect: 100-continue", which some servers never answer.
        for header in request.headers.map({ "\($0.name): \($0.value)" }) + ["Expect:"] {
            headerList = curl_slist_append(headerList, header)
        }
        CCurl_set_pointer(handle, CURLOPT_HTTPHEADER, headerList)
        if let password = request.basicPassword { setPassword(password) }
    }

    private func setReader() {
        CCurl_set_pointer(handle, CURLOPT_READDATA, owner)
        CCurl_set_write(handle, CURLOPT_READFUNCTION) { bytes, size, count, owner in
            Transfer.from(owner)?.give(bytes, size * count) ?? Int(CURL_READFUNC_ABORT)
        }
        // libcurl begins again where an idle connection turns out to be closed.
        CCurl_set_pointer(handle, CURLOPT_SEEKDATA, owner)
        CCurl_set_seek(handle) { owner, offset, origin in
            guard origin == SEEK_SET, let transfer = Transfer.from(owner) else { return CURL_SEEKFUNC_FAIL }
            transfer.sentCount = min(max(0, Int(offset)), transfer.request.body.count)
            return CURL_SEEKFUNC_OK
        }
    }

    private func give(_ space: UnsafeMutablePointer<CChar>?, _ room: Int) -> Int {
        let count = min(room, request.body.count - sentCount)
        guard let space, count > 0 else { return 0 }
        request.body.withUnsafeBytes { body in
            UnsafeMutableRawBufferPointer(start: space, count: count)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: body[sentCount..<sentCount + count]))
        }
        sentCount += count
        return count
    }

    /// Our copy is wiped; those that libcurl makes are freed with the handle and the connection, as they are.
    private func setPassword(_ password: SecretReference) {
        CCurl_set_basic(handle)
        CCurl_set_string(handle, CURLOPT_USERNAME, request.basicUser)
        password.withBytes { bytes in
            var text = [UInt8](repeating: 0, count: bytes.count + 1)
            for index in 0..<bytes.count { text[index] = bytes[index] }
            text.withUnsafeBufferPointer { text in
                _ = text.withMemoryRebound(to: CChar.self) {
                    CCurl_set_string(handle, CURLOPT_PASSWORD, $0.baseAddress)
                }
            }
            wipe(&text)
        }
    }

    private func configure(_ context: UnsafeMutableRawPointer) -> Bool {
        let anchors: TrustAnchors? =
            switch trust {
            case .anchors(let anchors): anchors
            case .provisional, .plaintext: nil
            }
        if TLSClientSetup.apply(trust: anchors, identity: identity, to: context) { return true }
        ownReason = HTTPError(.tls, "OpenSSL refused our trust or identity")
        return false
    }

    private func received(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        let hasRoom = (secretBody?.count ?? body.count) + count <= request.responseLimit
        guard let bytes, hasRoom else {
            ownReason = HTTPError(.tooLarge, "the answer is longer than \(request.responseLimit) bytes")
            return 0
        }
        if let secretBody {
            _ = secretBody.append(UnsafeRawBufferPointer(start: bytes, count: count))
            // libcurl's own buffer, which it does not look at again (sendf.c, chop_write) and frees as it is.
            explicit_bzero(bytes, count)
            return count
        }
        // A short answer, such as a key, is not left behind in outgrown memory, and a long one has its place at once.
        if body.isEmpty { body.reserveCapacity(min(request.responseLimit, max(16 << 10, announcedLength))) }
        body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
        return count
    }

    private var announcedLength: Int {
        headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
    }

    private func receivedHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        headerByteCount += count
        guard let bytes, headerByteCount <= Self.headerLimit else {
            ownReason = HTTPError(.tooLarge, "the headers are longer than \(Self.headerLimit) bytes")
            return 0
        }
        let line = String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            headers = []
            // Only while it is on its way does the transfer have a connection.
            if let session = CCurl_session(handle) {
                peerChain = TLSClientSetup.peerChain(ofRawSession: session)
            }
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            headers.append((String(line[..<colon]), String(value.prefix { !$0.isNewline })))
        }
        return count
    }

    /// libcurl is done with it.
    func finished(_ result: CURLcode) {
        if result == CURLE_OK {
            // Moved, not copied: a secret in it has one owner, who can wipe it.
            var moved: [UInt8] = []
            swap(&moved, &body)
            let status = CCurl_status(handle)
            var secret = secretBody?.contents()
            if let refusal = secret, !(200...299).contains(status) {
                moved = refusal.withSecret { $0.copy() }
                secret = nil
            }
            let response = HTTPResponse(
                status: status, headers: headers, body: moved, secret: secret, peerChain: peerChain)
            waiter(.success(response))
        } else {
            wipe(&body)
            waiter(.failure(error(result)))
        }
    }

    func abort() {
        wipe(&body)
        waiter(.failure(.wasCancelled))
    }

    private func error(_ result: CURLcode) -> HTTPError {
        if let ownReason { return ownReason }
        let own = String(cString: errorText)
        let words = own.isEmpty ? String(cString: curl_easy_strerror(result)) : own
        return HTTPError(.init(result, words), words)
    }

    private static func from(_ owner: UnsafeMutableRawPointer?) -> Transfer? {
        owner.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
    }
}

extension Duration {
    /// At least 1: libcurl takes 0 for "no limit".
    fileprivate var milliseconds: Int {
        max(1, Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000))
    }
}
