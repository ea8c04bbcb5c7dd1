import OpenSSL

/// A refusal that a peer hears in its own protocol, inside TLS.
enum Refusal: Equatable, Sendable {
    case notAllowed(String)
    /// The certificate would do, but not for what it asks.
    case sessionNotAllowed(String)
    /// The handshake was finished only so that this can be said.
    case certificateNotAccepted(String)
    case certificateRequired
    /// Whose limit it was.
    case tooManyConnections(String)
    case backendDown
    /// Of a tunnel.
    case remoteDown
    case postgres(PostgresError)

    var postgres: PostgresError {
        switch self {
        case .notAllowed(let detail): .notAllowed(detail)
        case .sessionNotAllowed(let detail): .sessionNotAllowed(detail)
        case .certificateNotAccepted(let detail): .certificateNotAccepted(detail)
        case .certificateRequired: .certificateRequired
        case .tooManyConnections(let detail): .tooManyConnections(detail)
        case .backendDown: .databaseDown
        case .remoteDown: .remoteDown
        case .postgres(let error): error
        }
    }

    /// Redis's own words where it has them (networking.c).
    var redis: String {
        // An error is one line.
        String(String.UnicodeScalarView(words.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }))
    }

    private var words: String {
        switch self {
        case .notAllowed, .sessionNotAllowed, .certificateNotAccepted, .certificateRequired:
            "NOPERM \(postgres.message)"
        // Clients compare the whole line.
        case .tooManyConnections: "ERR max number of clients reached"
        case .backendDown, .remoteDown, .postgres: "ERR \(postgres.message)"
        }
    }
}

extension Refusal {
    /// What a policy that objects is to say: nothing of rules that are somebody else's.
    init(_ objection: Objection, to startup: StartupMessage?) {
        switch objection {
        case .denied: self = .notAllowed("a rule of this port denies it")
        case .noRule: self = .notAllowed("no rule of this port names it")
        case .narrowed: self = .notAllowed("the management plane does not let it use this port")
        case .user: self = .sessionNotAllowed("connect as user \(Self.quoted(startup?.user))")
        case .database: self = .sessionNotAllowed("connect to database \(Self.quoted(startup?.database))")
        case .replication: self = .sessionNotAllowed("connect for replication")
        }
    }

    init(_ failure: TLSFailure) {
        self = failure.kind == .noCertificate ? .certificateRequired : .certificateNotAccepted(failure.detail)
    }

    private static func quoted(_ name: [UInt8]?) -> String {
        "\"" + String(decoding: (name ?? []).prefix(128), as: UTF8.self) + "\""
    }
}
