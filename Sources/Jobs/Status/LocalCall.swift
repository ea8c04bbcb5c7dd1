/// One thing that can be asked over a local socket, parsed once from method and path.
enum LocalCall: Equatable {
    case live
    case ready
    case health(isVerbose: Bool)
    case status
    case metrics
    /// A job's own part of the status document.
    case section(String)
    /// A page of them: those after this number, at most so many.
    case connections(after: UInt64, limit: Int)
    case events(count: Int)
    case renew(role: String)
    case kill(connection: String)
    /// Addresses that are refused for a while.
    case bans
    /// Of an address or a network; nil: all.
    case lift(network: String?)
    case drain
    case undrain
    /// `waits`: answered only when the live sessions have been judged, too.
    case reload(waits: Bool)

    /// Why a request is no call. Becomes an answer of 400, 404 or 405.
    enum Flaw: Error, Equatable {
        case unknownPath
        case wrongMethod(allowed: String)
        case badArgument(String)
    }

    static let eventLimit = 1000
    /// Connections on one page, which is far shorter than an answer may be.
    static let pageLimit = 1000
    private static let defaultEventCount = 50

    init(method: String, path: String, query: String?) throws(Flaw) {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        switch segments {
        case ["livez"]: self = try Self.get(method, .live)
        case ["readyz"]: self = try Self.get(method, .ready)
        case ["healthz"]:
            let words = (query ?? "").split(separator: "&")
            self = try Self.get(method, .health(isVerbose: words.contains { $0 == "verbose" || $0 == "verbose=1" }))
        case ["metrics"]: self = try Self.get(method, .metrics)
        case ["v1", "status"]: self = try Self.get(method, .status)
        case ["v1", "certificates"], ["v1", "audit"], ["v1", "backups"]:
            self = try Self.get(method, .section(segments[1]))
        case ["v1", "connections"]: self = try Self.get(method, Self.page(query))
        case ["v1", "bans"]:
            switch method {
            case "GET": self = .bans
            case "DELETE": self = .lift(network: nil)
            default: throw .wrongMethod(allowed: "GET, DELETE")
            }
        case ["v1", "audit", "events"]: self = try Self.get(method, .events(count: Self.count(query)))
        case ["v1", "drain"]: self = try Self.only("POST", method, .drain)
        case ["v1", "undrain"]: self = try Self.only("POST", method, .undrain)
        case ["v1", "reload"]: self = try Self.only("POST", method, Self.reload(query))
        default: self = try Self.named(method, segments)
        }
    }

    /// Whether the call changes something or shows who is connected, and so belongs to the control socket alone.
    var needsControl: Bool {
        switch self {
        case .live, .ready, .health, .status, .metrics, .section: false
        case .connections, .events, .renew, .kill, .bans, .lift, .drain, .undrain, .reload: true
        }
    }

    private static func named(_ method: String, _ segments: [String]) throws(Flaw) -> LocalCall {
        switch segments.count {
        case 3 where segments[0] == "v1" && segments[1] == "connections":
            return try only("DELETE", method, .kill(connection: word(segments[2])))
        case 3...4 where segments[0] == "v1" && segments[1] == "bans":
            // A network has a slash itself.
            let words = try segments[2...].map { (segment) throws(Flaw) in try word(segment) }
            return try only("DELETE", method, .lift(network: words.joined(separator: "/")))
        case 4 where segments[0] == "v1" && segments[1] == "certificates" && segments[3] == "renew":
            return try only("POST", method, .renew(role: word(segments[2])))
        default: throw .unknownPath
        }
    }

    private static func get(_ method: String, _ call: LocalCall) throws(Flaw) -> LocalCall {
        try only("GET", method, call)
    }

    private static func only(_ allowed: String, _ method: String, _ call: LocalCall) throws(Flaw) -> LocalCall {
        guard method == allowed else { throw .wrongMethod(allowed: allowed) }
        return call
    }

    /// Roles and connections have plain names, so nothing is ever percent-decoded.
    private static func word(_ segment: String) throws(Flaw) -> String {
        let isPlain = segment.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: ":"):
                true
            default: false
            }
        }
        guard isPlain, (1...128).contains(segment.utf8.count) else {
            throw .badArgument("a name holds letters, digits, '.', '_', '-' and ':' only, 1 to 128")
        }
        return segment
    }

    private static func reload(_ query: String?) throws(Flaw) -> LocalCall {
        switch query ?? "" {
        case "": .reload(waits: false)
        case "wait": .reload(waits: true)
        default: throw .badArgument("the one word that may follow is wait")
        }
    }

    private static func page(_ query: String?) throws(Flaw) -> LocalCall {
        var (after, limit) = (UInt64(0), pageLimit)
        for word in (query ?? "").split(separator: "&", omittingEmptySubsequences: false) where query?.isEmpty == false
        {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? UInt64(parts[1]) : nil
            switch (parts.first, value) {
            case ("after", let value?): after = value
            case ("limit", let value?) where (1...UInt64(pageLimit)).contains(value): limit = Int(value)
            default:
                throw .badArgument("after must be a connection's number, limit a number from 1 to \(pageLimit)")
            }
        }
        return .connections(after: after, limit: limit)
    }

    private static func count(_ query: String?) throws(Flaw) -> Int {
        guard let query, !query.isEmpty else { return defaultEventCount }
        guard query.hasPrefix("count="), let count = Int(query.dropFirst(6)), (1...eventLimit).contains(count) else {
            throw .badArgument("count must be a number from 1 to \(eventLimit)")
        }
        return count
    }
}
