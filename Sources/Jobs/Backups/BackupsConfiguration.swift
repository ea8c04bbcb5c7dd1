/// What the backups job is told, once, at its start.
package struct BackupsConfiguration: Sendable {
    package struct Target: Sendable, Equatable {
        package enum Place: Sendable, Equatable {
            /// A `file://` URL.
            case folder(String)
            case store(S3Settings)
        }

        package let name: String
        package let place: Place

        package init(name: String, url: String) { self.init(name: name, .folder(url)) }

        package init(name: String, _ place: Place) {
            self.name = name
            self.place = place
        }

        package var url: String {
            switch place {
            case .folder(let url): url
            case .store(let settings): settings.url
            }
        }
    }

    /// Streams that may run at once; one more is refused.
    package static let streamLimit = 4

    package let node: String
    package let cluster: String
    package let version: String
    package let targets: [Target]
    /// For all streams together.
    package let memory: Int
    package let socket: String
    package let socketMode: UInt32
    /// nil leaves the group of the process.
    package let socketGroup: String?
    /// Tests make volumes small, and the deadline short.
    package let layout: StreamLayout
    /// A client that has asked for nothing by then is let go.
    package let requestDeadline: Duration

    package init(
        node: String, cluster: String, version: String, targets: [Target], memory: Int = 128 << 20, socket: String,
        socketMode: UInt32 = 0o660, socketGroup: String? = nil, layout: StreamLayout = .standard,
        requestDeadline: Duration = .seconds(10)
    ) {
        self.node = node
        self.cluster = cluster
        self.version = version
        self.targets = targets
        self.memory = memory
        self.socket = socket
        self.socketMode = socketMode
        self.socketGroup = socketGroup
        self.layout = layout
        self.requestDeadline = requestDeadline
    }

    private var hasStores: Bool { targets.contains { if case .store = $0.place { true } else { false } } }

    /// Of one stream's frames: where there are stores a half of all memory holds parts, and a quarter what is read.
    var streamMemory: Int { memory / Self.streamLimit / (hasStores ? 4 : 1) }
    var partMemory: Int { memory / 2 }
}
