import Dispatch
import HTTP

/// What the objects of one target share: the client, and the memory for parts, which all targets share.
struct S3Store: Sendable {
    let name: String
    let client: S3Client
    let memory: PartMemory
    /// Threads that wait for answers: one for each part on its way, and for each range that is read ahead.
    let queue = DispatchQueue(label: "nodeguard.backups-requests", attributes: .concurrent)

    private static let writeMark = "x-amz-meta-nodeguard-write"

    var settings: S3Settings { client.settings }

    func key(of object: BackupObject) -> String { settings.key(of: object.path) }

    // MARK: one object

    /// What is stored by that name; nil where nothing is. `mark`: who wrote it.
    func find(
        _ key: String, within deadline: Int64 = S3Client.deadline
    ) throws(S3Failure) -> (length: Int64, mark: String?)? {
        do throws(S3Failure) {
            let response = try client.perform(S3Request("HEAD", key), within: deadline)
            return (Int64(response.header("Content-Length") ?? "") ?? -1, response.header(Self.writeMark))
        } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    /// Headers of a new object's request: `mark` tells afterwards that it is this one.
    func headers(mark: String, isConditional: Bool) -> [(name: String, value: String)] {
        let condition = isConditional && settings.checksums == .aws ? [("If-None-Match", "*")] : []
        return [(Self.writeMark, mark)] + condition
    }

    /// Only where the store says so it is gone, also if it never was.
    func delete(_ key: String) throws(S3Failure) {
        do throws(S3Failure) { try client.perform(S3Request("DELETE", key)) } catch {
            if !error.isMissing { throw error }
        }
    }

    // MARK: lists

    struct ListedObject: Equatable {
        let key: String
        /// RFC 3339, as the store has it.
        let modified: String
    }

    struct ListedUpload: Equatable {
        let key: String
        let upload: String
        let initiated: String
    }

    /// All objects below `prefix`; with a delimiter only the names up to it, in `folders`.
    func list(
        _ prefix: String, delimiter: String? = nil
    ) throws(S3Failure) -> (objects: [ListedObject], folders: [String]) {
        var (objects, folders): ([ListedObject], [String]) = ([], [])
        try pages(
            "ListBucketResult",
            [("list-type", "2"), ("prefix", prefix)] + (delimiter.map { [("delimiter", $0)] } ?? [])
        ) {
            page in
            for child in page.children {
                if child.name == "Contents", let key = child.value("Key") {
                    objects.append(ListedObject(key: key, modified: child.value("LastModified") ?? ""))
                } else if child.name == "CommonPrefixes", let folder = child.value("Prefix") {
                    folders.append(folder)
                }
            }
            return page.value("NextContinuationToken").map { [("continuation-token", $0)] }
        }
        return (objects, folders)
    }

    /// Uploads below `prefix` that were begun and not completed.
    func uploads(_ prefix: String) throws(S3Failure) -> [ListedUpload] {
        var uploads: [ListedUpload] = []
        try pages("ListMultipartUploadsResult", [("uploads", ""), ("prefix", prefix)]) { page in
            for child in page.children where child.name == "Upload" {
                guard let key = child.value("Key"), let upload = child.value("UploadId"), key.hasPrefix(prefix) else {
                    continue
                }
                uploads.append(ListedUpload(key: key, upload: upload, initiated: child.value("Initiated") ?? ""))
            }
            guard let key = page.value("NextKeyMarker"), let upload = page.value("NextUploadIdMarker") else {
                return nil
            }
            return [("key-marker", key), ("upload-id-marker", upload)]
        }
        return uploads
    }

    /// Until the store has no part of it any more: one that was on its way can come after an abort
    /// (scylladb/scylladb#20425).
    func abort(_ upload: String, of key: String) throws(S3Failure) {
        for attempt in 1...3 {
            do throws(S3Failure) {
                let query = [("uploadId", upload)]
                try client.perform(S3Request("DELETE", key, query: query), within: S3Client.shortDeadline)
                let parts = try client.perform(S3Request("GET", key, query: query), within: S3Client.shortDeadline)
                let document = try? S3Request.document("ListPartsResult", in: parts)
                if let document, document.child("Part") == nil { return }
                if attempt == 3 {
                    throw S3Failure(outcome: .falseSuccess, description: "parts of \(key) are left after an abort")
                }
            } catch {
                if error.isMissing { return }
                throw error
            }
        }
    }

    private static let pageLimit = 10_000

    private func pages(
        _ root: String, _ query: [(name: String, value: String)],
        _ body: (XMLElement) -> [(name: String, value: String)]?
    ) throws(S3Failure) {
        var next: [(name: String, value: String)] = []
        for _ in 0..<Self.pageLimit {
            var request = S3Request("GET", nil, query: query + next)
            request.answerLimit = S3Request.listLimit
            request.expectDocument(root)
            let response = try client.perform(request)
            let page: XMLElement
            do throws(XMLElement.Malformed) { page = try S3Request.document(root, in: response) } catch {
                throw S3Failure(outcome: .falseSuccess, description: "\(request.what): \(error.reason)")
            }
            let following = body(page)
            guard page.value("IsTruncated") == "true" else { return }
            guard let following, !following.elementsEqual(next, by: ==) else {
                throw S3Failure(outcome: .falseSuccess, description: "\(request.what): a list without a next page")
            }
            next = following
        }
        throw S3Failure(outcome: .falseSuccess, description: "a list of more than \(Self.pageLimit) pages")
    }
}

/// Room for parts of all streams and targets together: who finds none waits, and with it the producer.
///
/// Each stream fills one part at a time, and a part on its way ends by itself: with as much room as there are streams
/// all of them go on.
final class PartMemory: Sendable {
    static let largestPart = 16 << 20
    /// S3 takes no smaller one but the last.
    static let smallestPart = 5 << 20

    let partLength: Int
    private let free = DispatchSemaphore(value: 0)

    init(bytes: Int, streamLimit: Int = BackupsConfiguration.streamLimit) {
        partLength = min(Self.largestPart, max(Self.smallestPart, bytes / streamLimit))
        for _ in 0..<max(streamLimit, bytes / partLength) { free.signal() }
    }

    /// For what is read: two of them for each stream.
    var rangeLength: Int { partLength / 4 }

    func take() { free.wait() }
    func giveBack() { free.signal() }
}
