import Dispatch
import HTTP
import IO
import Synchronization

/// A stored object, read in ranges: one is given out while the next is fetched. Each is asked for again by itself.
final class S3Object: StoredObject {
    /// One range on its way.
    private final class Fetch: Sendable {
        let result = Mutex<Result<[UInt8], BackupError>?>(nil)
        let isThere = DispatchSemaphore(value: 0)

        func get() throws(BackupError) -> [UInt8] {
            isThere.wait()
            return try result.withLock { $0 }?.get() ?? []
        }
    }

    private struct Contents {
        var current: [UInt8]
        var given = 0
        /// Where the next range begins.
        var position: Int64
        var next: Fetch?
    }

    let length: Int64
    private let key: String
    private let etag: String?
    private let store: S3Store
    private let contents: Mutex<Contents>
    private let halt = Halt()

    /// The first range tells how long the object is.
    init(_ object: BackupObject, in store: S3Store) throws(BackupError) {
        self.store = store
        key = store.key(of: object)
        let answer: Answer
        do throws(S3Failure) {
            answer = try Self.fetch(key, from: 0, etag: nil, total: nil, in: store, until: halt)
        } catch {
            if error.isMissing { throw BackupError(.corrupt, "\(object) is missing in target \(store.name)") }
            throw error.error(in: store.name)
        }
        (length, etag) = (answer.total, answer.etag)
        contents = Mutex(Contents(current: answer.bytes, position: Int64(answer.bytes.count)))
        fetchNext()
    }

    deinit { halt.halt() }

    func read(into buffer: LaneBuffer) throws(BackupError) -> Int {
        let isUsedUp = contents.withLock { $0.given == $0.current.count }
        if isUsedUp, let next = contents.withLock({ $0.next }) {
            let bytes = try next.get()
            contents.withLock { contents in
                (contents.current, contents.given, contents.next) = (bytes, 0, nil)
                contents.position += Int64(bytes.count)
            }
            fetchNext()
        }
        return contents.withLock { contents in
            let count = min(buffer.freeCount, contents.current.count - contents.given)
            buffer.append(Array(contents.current[contents.given..<contents.given + count]))
            contents.given += count
            return count
        }
    }

    private func fetchNext() {
        let position = contents.withLock { $0.position }
        guard position < length else { return }
        let fetch = Fetch()
        contents.withLock { $0.next = fetch }
        store.queue.async { [key, etag, length, store, halt] in
            let result: Result<[UInt8], BackupError>
            do throws(S3Failure) {
                result = .success(
                    try Self.fetch(key, from: position, etag: etag, total: length, in: store, until: halt).bytes)
            } catch {
                result = .failure(
                    error.isTaken || error.isMissing
                        ? BackupError(.corrupt, "\(key) was changed while it was read") : error.error(in: store.name))
            }
            fetch.result.withLock { $0 = result }
            fetch.isThere.signal()
        }
    }

    private struct Answer {
        let bytes: [UInt8]
        let total: Int64
        let etag: String?
    }

    private static func fetch(
        _ key: String, from start: Int64, etag: String?, total: Int64?, in store: S3Store, until halt: Halt
    ) throws(S3Failure) -> Answer {
        let limit = Int64(store.memory.rangeLength)
        let end = min(start + limit, total ?? .max) - 1
        var request = S3Request("GET", key)
        request.headers = [("Range", "bytes=\(start)-\(end)")] + (etag.map { [("If-Match", $0)] } ?? [])
        request.answerLimit = store.memory.rangeLength
        request.flaw = { response in
            guard let range = range(of: response) else { return "an answer that is not the range asked for" }
            let expected = min(limit, (total ?? range.total) - start)
            return range.start == start && range.total == total ?? range.total
                && Int64(response.body.count) == expected
                ? nil
                : "\(response.body.count) bytes from \(range.start) where \(expected) from \(start) were asked for"
        }
        let response = try store.client.perform(request, until: halt)
        return Answer(
            bytes: response.body, total: range(of: response)?.total ?? 0, etag: etag ?? response.header("ETag"))
    }

    /// `bytes 0-99/1234`; all of it where the server answers 200 (RFC 9110 §14.4).
    private static func range(of response: HTTPResponse) -> (start: Int64, total: Int64)? {
        if response.status == 200 { return (0, Int64(response.body.count)) }
        guard response.status == 206, let text = response.header("Content-Range"), text.hasPrefix("bytes ") else {
            return nil
        }
        let parts = text.dropFirst("bytes ".count).split { $0 == "-" || $0 == "/" }.map { Int64($0) }
        guard parts.count == 3, let start = parts[0], let end = parts[1], let total = parts[2], start >= 0,
            end >= start,
            total > end, end - start + 1 == Int64(response.body.count)
        else { return nil }
        return (start, total)
    }
}
