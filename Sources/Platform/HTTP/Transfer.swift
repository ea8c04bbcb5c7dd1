import CCurl
import OpenSSL

/// One request on its way: libcurl's easy handle, what has arrived, and who waits.
///
/// Lives in the client's lane; libcurl's callbacks run inside its poll.
final class Transfer {
    private static let headerLimit = 16 << 10

    let handle: UnsafeMutableRawPointer
    private let request: HTTPRequest
    private let trust: ClientTrust
    private let identity: TLSIdentity?
    private let waiter: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>
    private let errorText: UnsafeMutablePointer<CChar>
    private let requestBody: UnsafeMutableBufferPointer<UInt8>
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var headers: [(name: String, value: String)] = []
    private var headerByteCount = 0
    private var body: [UInt8] = []
    private var isTooLarge = false
    private var contextFailed = false

    init?(
        _ request: HTTPRequest, trust: ClientTrust, identity: TLSIdentity?,
        waiter: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>
    ) {
        guard let handle = curl_easy_init() else { return nil }
        self.handle = handle
        self.request = request
        self.trust = trust
        self.identity = identity
        self.waiter = waiter
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        requestBody = .allocate(capacity: max(1, request.body.count))
        _ = requestBody.initialize(from: request.body)
        setLimits()
        setTLS()
        setRequest()
    }

    deinit {
        curl_easy_cleanup(handle)
        curl_slist_free_all(headerList)
        errorText.deallocate()
        requestBody.deallocate()
    }

    private var owner: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    private func setLimits() {
        CCurl_set_string(handle, CURLOPT_PROTOCOLS_STR, "https")
        CCurl_set_long(handle, CURLOPT_FOLLOWLOCATION, 0)
        CCurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        CCurl_set_string(handle, CURLOPT_PROXY, "")
        CCurl_set_long(handle, CURLOPT_TIMEOUT_MS, request.timeout.milliseconds)
        CCurl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.milliseconds)
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
        // The store is ours alone: without these libcurl would read the system's bundle first.
        CCurl_set_string(handle, CURLOPT_CAINFO, nil)
        CCurl_set_string(handle, CURLOPT_CAPATH, nil)
        switch trust {
        case .anchors:
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
            return transfer.configure(context) ? CURLE_OK : CURLE_SSL_CERTPROBLEM
        }
    }

    private func setRequest() {
        CCurl_set_string(handle, CURLOPT_URL, request.url)
        CCurl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        if !request.body.isEmpty || request.method != "GET" {
            CCurl_set_long(handle, CURLOPT_POST, 1)
            CCurl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count))
            CCurl_set_pointer(handle, CURLOPT_POSTFIELDS, requestBody.baseAddress)
        }
        // No "Expect: 100-continue", which some servers never answer.
        for header in request.headers.map({ "\($0.name): \($0.value)" }) + ["Expect:"] {
            headerList = curl_slist_append(headerList, header)
        }
        CCurl_set_pointer(handle, CURLOPT_HTTPHEADER, headerList)
        guard let password = request.basicPassword else { return }
        CCurl_set_basic(handle)
        CCurl_set_string(handle, CURLOPT_USERNAME, "")
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
            case .provisional: nil
            }
        contextFailed = !TLSClientSetup.apply(trust: anchors, identity: identity, to: context)
        return !contextFailed
    }

    private func received(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        guard let bytes, body.count + count <= request.responseLimit else {
            isTooLarge = true
            return 0
        }
        body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
        return count
    }

    private func receivedHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        headerByteCount += count
        guard let bytes, headerByteCount <= Self.headerLimit else {
            isTooLarge = true
            return 0
        }
        let line = String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            headers = []
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
            waiter.resume(
                returning: .success(HTTPResponse(status: CCurl_status(handle), headers: headers, body: moved)))
        } else {
            wipe(&body)
            waiter.resume(returning: .failure(error(result)))
        }
    }

    func abort() { waiter.resume(returning: .failure(HTTPError(.cancelled, "the request was cancelled"))) }

    private func error(_ result: CURLcode) -> HTTPError {
        let own = String(cString: errorText)
        let words = own.isEmpty ? String(cString: curl_easy_strerror(result)) : own
        let kind: HTTPError.Kind =
            switch result {
            case CURLE_COULDNT_RESOLVE_HOST: .resolve
            case CURLE_COULDNT_CONNECT: .connect
            case CURLE_OPERATION_TIMEDOUT: .timeout
            case CURLE_WRITE_ERROR where isTooLarge: .tooLarge
            case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: .tlsPeer
            case CURLE_SSL_CONNECT_ERROR, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING:
                words.contains("alert") ? .tlsSelf : result == CURLE_SSL_CONNECT_ERROR ? .tls : .connect
            case CURLE_SSL_CERTPROBLEM: .tls
            case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT: .notAllowed
            default: .protocolError
            }
        return HTTPError(kind, isTooLarge ? "the answer is longer than \(request.responseLimit) bytes" : words)
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
