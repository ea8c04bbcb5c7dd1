import Dispatch
import FoundationEssentials
import HTTP
import OpenSSL
import Synchronization

/// An object of a store that is being written: one request if it is short, else parts on their way side by side.
/// Nobody can see it before it is complete.
final class S3Upload: SealedObjectWriter {
    private static let partsAtOnce = 4

    private struct Part {
        let etag: String
        let checksum: String?
    }

    private struct Contents {
        var payload: SealedPayload?
        var length: Int64 = 0
        var upload: String?
        var parts: [Int: Part] = [:]
        var nextNumber = 1
        var onTheirWay = 0
        var window = UploadWindowStateMachine(most: S3Upload.partsAtOnce)
        var failure: BackupError?
        var isOver = false
    }

    private let store: S3Store
    private let key: String
    private let mark = hexadecimal(secureRandom(16))
    private let contents = Mutex(Contents())
    private let partEnded = DispatchSemaphore(value: 0)
    private let halt = Halt()

    init(_ key: String, in store: S3Store) throws(BackupError) {
        (self.key, self.store) = (key, store)
        if try attempt({ () throws(S3Failure) in try store.find(key) }) != nil { throw taken }
    }

    deinit { abandon() }

    private var taken: BackupError { BackupError(.target, "target \(store.name): \(key) is there already") }

    func append(_ part: SealedPart) throws(BackupError) {
        let limit = store.memory.partLength
        var offset = 0
        while offset < part.count {
            var payload = try takePayload()
            if payload.bytes.count == limit {
                try send(payload)
                payload = makePayload()
            }
            offset += payload.append(part, from: offset, limit: limit - payload.bytes.count)
            contents.withLock { $0.payload = payload }
        }
    }

    func complete() throws(BackupError) {
        let payload = try takePayload()
        if contents.withLock({ $0.upload }) == nil {
            defer { store.memory.giveBack() }
            try put(payload)
        } else {
            try send(payload)
            while contents.withLock({ $0.onTheirWay > 0 }) { partEnded.wait() }
            if let failure = contents.withLock({ $0.failure }) { throw failure }
            try completeUpload()
        }
        contents.withLock { $0.isOver = true }
    }

    /// In one request, whole.
    func put(_ payload: SealedPayload) throws(BackupError) {
        var request = S3Request("PUT", key)
        request.headers = store.headers(mark: mark, isConditional: true)
        request.body = .sealed(payload)
        setChecksum(&request)
        contents.withLock { $0.length += Int64(payload.bytes.count) }
        try confirm { () throws(S3Failure) in
            _ = try store.client.perform(request, until: halt, slowedDown: slowedDown)
        }
    }

    func abandon() {
        let (wasOver, payload, upload) = contents.withLock { contents in
            defer { (contents.isOver, contents.payload) = (true, nil) }
            return (contents.isOver, contents.payload, contents.upload)
        }
        if payload != nil { store.memory.giveBack() }
        guard !wasOver else { return }
        halt.halt()
        while contents.withLock({ $0.onTheirWay > 0 }) { partEnded.wait() }
        // What cannot be aborted now is found by a sweep.
        if let upload { try? store.abort(upload, of: key) }
    }

    // MARK: parts

    private func takePayload() throws(BackupError) -> SealedPayload {
        let (payload, failure) = contents.withLock { contents in
            defer { if contents.failure == nil { contents.payload = nil } }
            return (contents.failure == nil ? contents.payload : nil, contents.failure)
        }
        if let failure { throw failure }
        return payload ?? makePayload()
    }

    private func makePayload() -> SealedPayload {
        store.memory.take()
        return SealedPayload(capacity: store.memory.partLength)
    }

    /// Returns once the part is on its way.
    private func send(_ payload: SealedPayload) throws(BackupError) {
        let (upload, number): (String, Int)
        do throws(BackupError) {
            upload = try beginUpload()
            number = try takePlace()
        } catch {
            store.memory.giveBack()
            throw error
        }
        var request = S3Request("PUT", key, query: [("partNumber", String(number)), ("uploadId", upload)])
        request.body = .sealed(payload)
        setChecksum(&request)
        contents.withLock { $0.length += Int64(payload.bytes.count) }
        store.queue.async { [self, request] in
            let result: Result<Part, BackupError>
            do throws(BackupError) {
                let response = try attempt { () throws(S3Failure) in
                    try store.client.perform(request, until: halt, slowedDown: slowedDown)
                }
                result = .success(Part(etag: response.header("ETag") ?? "", checksum: request.checksum))
            } catch { result = .failure(error) }
            store.memory.giveBack()
            ended(number, result)
        }
    }

    private func beginUpload() throws(BackupError) -> String {
        if let upload = contents.withLock({ $0.upload }) { return upload }
        var request = S3Request("POST", key, query: [("uploads", "")])
        request.headers = store.headers(mark: mark, isConditional: false)
        if store.settings.checksums == .aws { request.headers.append(("x-amz-checksum-algorithm", "CRC32C")) }
        request.expectDocument("InitiateMultipartUploadResult", with: ["UploadId"])
        let response = try attempt { [request] () throws(S3Failure) in try store.client.perform(request, until: halt) }
        guard let document = try? S3Request.document("InitiateMultipartUploadResult", in: response),
            let upload = document.value("UploadId")
        else { throw BackupError(.target, "target \(store.name): \(key): no upload was begun") }
        contents.withLock { $0.upload = upload }
        return upload
    }

    /// Waits until one part more may be on its way; returns its number.
    private func takePlace() throws(BackupError) -> Int {
        while true {
            let (number, failure): (Int?, BackupError?) = contents.withLock { contents in
                if let failure = contents.failure { return (nil, failure) }
                guard contents.onTheirWay < contents.window.size else { return (nil, nil) }
                contents.onTheirWay += 1
                defer { contents.nextNumber += 1 }
                return (contents.nextNumber, nil)
            }
            if let failure { throw failure }
            if let number { return number }
            partEnded.wait()
        }
    }

    private func ended(_ number: Int, _ result: Result<Part, BackupError>) {
        contents.withLock { contents in
            contents.onTheirWay -= 1
            switch result {
            case .success(let part):
                contents.parts[number] = part
                contents.window.partStored()
            case .failure(let error): contents.failure = contents.failure ?? error
            }
        }
        partEnded.signal()
    }

    private func slowedDown() { contents.withLock { $0.window.slowedDown() } }

    private func completeUpload() throws(BackupError) {
        let (upload, parts) = contents.withLock { ($0.upload ?? "", $0.parts.sorted { $0.key < $1.key }) }
        let entries = parts.map { number, part in
            let checksum = part.checksum.map { "<ChecksumCRC32C>\($0)</ChecksumCRC32C>" } ?? ""
            return "<Part><ETag>\(XMLElement.escaped(part.etag))</ETag>\(checksum)"
                + "<PartNumber>\(number)</PartNumber></Part>"
        }
        var request = S3Request("POST", key, query: [("uploadId", upload)])
        // Conditions belong to the completion, not to the parts ("Conditional writes", Amazon S3 User Guide).
        request.headers = store.headers(mark: mark, isConditional: true).filter { $0.name == "If-None-Match" }
        request.body = .document(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(entries.joined())"
                + "</CompleteMultipartUpload>")
        request.expectDocument("CompleteMultipartUploadResult")
        try confirm { [request] () throws(S3Failure) in
            _ = try store.client.perform(request, until: halt, slowedDown: slowedDown)
        }
    }

    // MARK: certainty

    /// An answer may be lost after its request has had its effect, and its repetition is refused then. What counts is
    /// what is there: this object, by its mark, in its whole length.
    private func confirm(_ body: () throws(S3Failure) -> Void) throws(BackupError) {
        var refusal: S3Failure?
        do throws(S3Failure) { try body() } catch {
            guard error.isAmbiguous else { throw error.error(in: store.name) }
            refusal = error
        }
        let length = contents.withLock { $0.length }
        let found = try attempt { () throws(S3Failure) in try store.find(key) }
        if let found, found.mark == mark, found.length == length { return }
        if let refusal { throw refusal.isTaken && found != nil ? taken : refusal.error(in: store.name) }
        let words = found.map { "\($0.length) bytes" + ($0.mark == mark ? "" : " of somebody else") } ?? "nothing"
        throw BackupError(
            .target,
            "target \(store.name): \(key): \(words) is stored where \(length) bytes were sent, though the store "
                + "called it a success")
    }

    private func setChecksum(_ request: inout S3Request) {
        let isPart = !request.query.isEmpty
        let ours = store.settings.checksums == .aws ? base64(Digest.crc32c(request.body.bytes)) : nil
        request.checksum = ours
        request.flaw = { response in
            if isPart, response.header("ETag")?.isEmpty ?? true { return "an answer without an ETag" }
            guard let ours, let theirs = response.header("x-amz-checksum-crc32c"), theirs != ours else { return nil }
            return "the store has other bytes than were sent: CRC-32C \(theirs), not \(ours)"
        }
    }

    private func base64(_ checksum: UInt32) -> String { Data(bigEndian(checksum)).base64EncodedString() }

    private func attempt<Value>(_ body: () throws(S3Failure) -> Value) throws(BackupError) -> Value {
        do throws(S3Failure) { return try body() } catch { throw error.error(in: store.name) }
    }
}
