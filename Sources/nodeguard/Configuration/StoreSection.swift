/// A target in an object store, `s3://bucket/prefix`.
struct StoreSection: Sendable, Equatable {
    enum Credentials: Sendable, Equatable {
        case file(String)
        case environment
    }

    enum Addressing: String, Sendable, CaseIterable {
        case path
        case virtualHost = "virtual-host"
    }

    enum Checksums: String, Sendable, CaseIterable { case aws, gcs, basic }

    /// Below it the parts of an object would be too small for a store.
    static let leastMemory = 48 << 20

    let bucket: String
    let prefix: String
    var endpoint: String?
    let region: String
    let credentials: Credentials
    var addressing: Addressing?
    var checksums: Checksums?
    var authorities: String?
    var acknowledgesPlaintext = false
    /// Bytes a second.
    var bandwidth: Int?

    private static let keys = [
        "endpoint", "region", "credentials", "addressing", "checksums", "ca", "acknowledge-plaintext", "bandwidth",
    ]

    /// Of a target's section; nil where it is a folder, or has mistakes.
    static func read(_ section: Section, _ url: TargetURL?) -> StoreSection? {
        let isBucket = if case .bucket = url { true } else { false }
        let endpoint = section.located("endpoint", .endpoint)
        let region = section.value("region", .region, isRequired: isBucket)
        let credentials = section.value("credentials", .credentials, isRequired: isBucket)
        let addressing = section.value("addressing", .word("way to address a bucket") as Form<Addressing>)
        let checksums = section.value("checksums", .word("kind of checksums") as Form<Checksums>)
        let authorities = section.value("ca", .path)
        let acknowledges = section.value("acknowledge-plaintext", .flag) ?? false
        let bandwidth = section.value("bandwidth", .bandwidth)
        guard case .bucket(let bucket, let prefix) = url else {
            if case .folder = url { refuseAll(section) }
            return nil
        }
        if let endpoint, endpoint.value.hasPrefix("http://"), !acknowledges {
            section.add(
                "over plain http anybody on the way can see and change what is sent: write https://, or add "
                    + "'acknowledge-plaintext: yes' once you have looked", at: endpoint.position)
            return nil
        }
        guard let region, let credentials else { return nil }
        var store = StoreSection(bucket: bucket, prefix: prefix, region: region, credentials: credentials)
        store.endpoint = endpoint?.value
        (store.addressing, store.checksums, store.authorities) = (addressing, checksums, authorities)
        (store.acknowledgesPlaintext, store.bandwidth) = (acknowledges, bandwidth)
        return store
    }

    private static func refuseAll(_ section: Section) {
        for key in keys where section.has(key) {
            section.add("'\(key)' is for targets in an object store: this one is a folder", at: section.place(of: key))
        }
    }
}

/// Where a target is.
enum TargetURL: Sendable, Equatable {
    case folder(String)
    /// The prefix has no slash at its ends.
    case bucket(String, prefix: String)
}

extension Form where Value == TargetURL {
    static var targetURL: Form {
        Form { text throws(Flaw) in
            if text.hasPrefix("s3://") { return try bucket(text) }
            if ["https://", "gs://", "azure://"].contains(where: text.hasPrefix) {
                throw Flaw(
                    "'\(text)' is not supported by this version: a target begins with file:/// or s3://")
            }
            guard text.hasPrefix("file:///"), text.utf8.count > 8, !text.contains("%"), !text.contains("?"),
                !text.contains("#")
            else { throw Flaw("'\(text)' is no target: write file:///folder or s3://bucket/prefix") }
            return .folder(try Form<String>.path.read(String(text.dropFirst("file://".count))))
        }
    }

    /// Names as AWS allows them ("General purpose bucket naming rules", Amazon S3 User Guide).
    private static func bucket(_ text: String) throws(Flaw) -> TargetURL {
        let parts = text.dropFirst("s3://".count).split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let bucket = String(parts[0])
        let isPlain = { (byte: UInt8) in (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
        guard (3...63).contains(bucket.utf8.count), bucket.utf8.allSatisfy({ isPlain($0) || $0 == 0x2D || $0 == 0x2E }),
            let first = bucket.utf8.first, let last = bucket.utf8.last, isPlain(first), isPlain(last),
            !bucket.contains("..")
        else { throw Flaw("'\(bucket)' is no bucket: 3 to 63 small letters, digits, '-' and '.'") }
        let prefix = (parts.count > 1 ? parts[1] : "").drop { $0 == "/" }
        let trimmed = prefix.hasSuffix("/") ? prefix.dropLast() : prefix
        let segments = trimmed.split(separator: "/", omittingEmptySubsequences: false)
        let isName = { (byte: UInt8) in
            isPlain(byte) || (0x41...0x5A).contains(byte) || [0x2D, 0x2E, 0x5F, 0x3D].contains(byte)
        }
        guard
            trimmed.isEmpty
                || segments.allSatisfy({
                    !$0.isEmpty && $0 != "." && $0 != ".." && $0.utf8.allSatisfy(isName)
                }), trimmed.utf8.count <= 512
        else { throw Flaw("'\(trimmed)' is no prefix: names of letters, digits, '-', '.', '_' and '=' with / between") }
        return .bucket(bucket, prefix: String(trimmed))
    }
}

extension Form where Value == StoreSection.Credentials {
    fileprivate static var credentials: Form {
        Form { text throws(Flaw) in
            if text == "env" { return .environment }
            if text == "instance" {
                throw Flaw("'instance' is not supported by this version: write file:/path or env")
            }
            guard text.hasPrefix("file:/") else { throw Flaw("'\(text)' must be file:/path or env") }
            return .file(try Form<String>.path.read(String(text.dropFirst("file:".count))))
        }
    }
}

extension Form where Value == String {
    /// Host and port, with https, or http where that is acknowledged.
    fileprivate static var endpoint: Form {
        Form { text throws(Flaw) in
            let isPlain = text.hasPrefix("http://")
            let url = try httpsURL.read(isPlain ? "https" + text.dropFirst("http".count) : text)
            guard !url.dropFirst("https://".count).contains("/") else {
                throw Flaw("'\(text)' may hold a host and a port only: the bucket stands in 'url'")
            }
            return isPlain ? "http" + url.dropFirst("https".count) : url
        }
    }

    /// It goes into a host name and into what is signed.
    fileprivate static var region: Form {
        Form { text throws(Flaw) in
            let isRegion = text.utf8.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x5F
            }
            guard (1...63).contains(text.utf8.count), isRegion else {
                throw Flaw("'\(text)' is no region: write us-east-1, or what the store's manual says")
            }
            return text
        }
    }
}

extension Form where Value == Int {
    /// `200MiB/s`
    fileprivate static var bandwidth: Form {
        Form { text throws(Flaw) in
            guard text.hasSuffix("/s") else { throw Flaw("'\(text)' is no bandwidth: write 200MiB/s") }
            return try size((64 << 10)...(1 << 40)).read(String(text.dropLast(2)))
        }
    }
}

extension BackupsSection.Target {
    var shown: ConfigurationText.Members {
        switch place {
        case .folder(let folder): [("name", .text(name)), ("url", .text("file://" + folder))]
        case .store(let store): [("name", .text(name))] + store.shown
        }
    }
}

extension StoreSection {
    fileprivate var shown: ConfigurationText.Members {
        let credentials =
            switch self.credentials {
            case .file(let path): "file:" + path
            case .environment: "env"
            }
        let optional: [(String, String?)] = [
            ("endpoint", endpoint), ("addressing", addressing?.rawValue), ("checksums", checksums?.rawValue),
            ("ca", authorities), ("acknowledge-plaintext", acknowledgesPlaintext ? "yes" : nil),
            ("bandwidth", bandwidth.map { Quantity.text(bytes: $0) + "/s" }),
        ]
        return [
            ("url", .text("s3://\(bucket)" + (prefix.isEmpty ? "" : "/\(prefix)"))), ("region", .text(region)),
            ("credentials", .text(credentials)),
        ] + optional.compactMap { key, value in value.map { (key, .text($0)) } }
    }
}
