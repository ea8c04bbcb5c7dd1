import IO
import OpenSSL
import Reports

/// What all streams share.
struct StreamContext: Sendable {
    let configuration: BackupsConfiguration
    let catalog: BackupCatalog
    let custody: KeyCustody
    let audit: AuditReporter
    let figures: BackupFigures
    /// Of one stream.
    let memory: StreamMemory
}

/// Serves one client's request, on a queue of its own: reading the producer and writing the target block there.
actor StreamSession: QueueConfined {
    nonisolated let queue: SerialQueue
    let context: StreamContext
    let connection: ClientConnection
    private let events: AsyncStream<ClientEvent>.Iterator

    init(_ connection: ClientConnection, on queue: SerialQueue, in context: StreamContext) {
        self.queue = queue
        self.context = context
        self.connection = connection
        events = connection.events.makeAsyncIterator()
    }

    /// Returns when the client has its answer.
    func serve() async {
        defer { connection.close() }
        guard case .request(let request, let descriptor) = await nextEvent() else { return }
        do {
            connection.send(.completed(outcome: try await perform(request, descriptor)))
        } catch {
            let error = error as? BackupError ?? BackupError(.internalFault, "\(error)")
            connection.send(.failed(kind: error.kind.rawValue, reason: error.description))
        }
    }

    private func perform(_ request: StreamRequest, _ descriptor: PassedDescriptor?) async throws -> BackupOutcome {
        switch request.verb {
        case .put:
            guard let descriptor else { throw BackupError(.refused, "put needs a descriptor to read from") }
            return try await put(request, from: descriptor)
        case .get:
            guard let descriptor else { throw BackupError(.refused, "get needs a descriptor to write to") }
            return try await get(request, to: descriptor)
        case .list: return try list(request)
        case .verify: return try await verify(request)
        case .delete: return try await delete(request)
        }
    }

    func nextEvent() async -> ClientEvent {
        var iterator = events
        return await iterator.next(isolation: self) ?? .gone
    }

    /// Tells client and status how far the stream is.
    func makeWatch() -> StreamWatch {
        let watch = StreamWatch { [connection, figures = context.figures] watch in
            connection.send(
                .progress(bytes: watch.plaintextBytes, storedBytes: watch.storedBytes, seconds: watch.seconds))
            figures.publish()
        }
        connection.attach(watch)
        return watch
    }

    func report(
        _ name: AuditEventName, _ outcome: AuditOutcome = .success, _ details: [String: JSONValue]
    ) {
        var fields = AuditFields(details)
        if let peer = connection.peer {
            fields["caller.uid"] = .count(peer.user)
            fields["caller.gid"] = .count(peer.group)
            fields["caller.pid"] = .count(peer.process)
        }
        context.audit.report(AuditEvent(name, outcome, fields: fields))
    }

    // MARK: reading

    private func list(_ request: StreamRequest) throws(BackupError) -> BackupOutcome {
        var unreadable: [BackupError] = []
        let entries = try context.catalog.entries(in: request.target) { unreadable.append($1.adding("backup \($0)")) }
        for entry in entries { connection.send(.backup(summary: entry.summary)) }
        if let first = unreadable.first { throw first }
        var outcome = BackupOutcome()
        outcome.count = entries.count
        return outcome
    }

    private func get(_ request: StreamRequest, to sink: PassedDescriptor) async throws -> BackupOutcome {
        try await read(request, reason: "restore", event: .backupRead) { (reader, watch) throws(BackupError) in
            self.context.figures.restored(try reader.restore(to: sink, watch: watch))
            return nil
        }
    }

    private func verify(_ request: StreamRequest) async throws -> BackupOutcome {
        let level = request.level ?? 3
        guard (1...3).contains(level) else { throw BackupError(.refused, "there are verify levels 1, 2 and 3") }
        return try await read(request, reason: "verify", event: .backupVerified) {
            (reader, watch) throws(BackupError) in
            try reader.verify(level: level, watch: watch)
            return level
        }
    }

    private func read(
        _ request: StreamRequest, reason: String, event: AuditEventName,
        _ body: (BackupReader, StreamWatch) throws(BackupError) -> Int?
    ) async throws -> BackupOutcome {
        let entry = try entry(for: request)
        let watch = makeWatch()
        let number = context.figures.began(
            request.verb, entry.identity, name: entry.known.name, target: entry.target.name, watch)
        defer { context.figures.ended(number) }
        do {
            let key = try await unwrapKey(of: entry, reason: reason)
            connection.send(
                .started(backup: entry.known.backup, name: entry.known.name, target: entry.target.name))
            let reader = try BackupReader(
                entry.known, identity: entry.identity, key: key, from: entry.target, memory: context.memory)
            var outcome = BackupOutcome(of: reader.manifest, target: entry.target.name, seconds: 0)
            outcome.level = try body(reader, watch)
            outcome.seconds = watch.seconds
            report(event, .success, entry.details.merging(outcome.details) { $1 })
            return outcome
        } catch {
            report(event, .failure, entry.details.merging(["reason": .string("\(error)")]) { $1 })
            throw error
        }
    }

    private func delete(_ request: StreamRequest) async throws -> BackupOutcome {
        let entry: BackupCatalog.Entry
        do throws(BackupError) { entry = try self.entry(for: request) } catch {
            // A name that was a mistake has a failure at most.
            guard error.kind == .notFound, let name = request.name, context.figures.forgetFailure(of: name) else {
                throw error
            }
            var outcome = BackupOutcome()
            outcome.name = name
            return outcome
        }
        let keys = try? context.catalog.keys(of: entry)
        do throws(BackupError) {
            try entry.target.remove(entry.identity.backup, of: entry.identity.cluster)
        } catch {
            report(.backupDeleted, .failure, entry.details.merging(["reason": .string("\(error)")]) { $1 })
            throw error
        }
        var details = entry.details
        for wrap in keys?.wraps ?? [] where wrap.kind == KeyFile.planeKind {
            do {
                try await context.custody.delete(wrap.key)
            } catch { details["reason"] = .string("its key could not be given up: \(error)") }
        }
        report(.backupDeleted, .success, details)
        // Where a target does not answer nobody knows what is left.
        if let left = (try? context.catalog.entries())?.filter({ $0.known.name == entry.known.name }) {
            context.figures.deleted(entry.known.name, newest: left.last?.identity.backup.start)
        }
        var outcome = BackupOutcome()
        (outcome.backup, outcome.name, outcome.target) = (entry.known.backup, entry.known.name, entry.target.name)
        return outcome
    }

    private func entry(for request: StreamRequest) throws(BackupError) -> BackupCatalog.Entry {
        guard let selector = request.name.flatMap({ BackupSelector($0) }) else {
            throw BackupError(.refused, BackupSelector.rule)
        }
        return try context.catalog.entry(for: selector, in: request.target)
    }

    private func unwrapKey(of entry: BackupCatalog.Entry, reason: String) async throws -> BackupKey {
        let wraps = try context.catalog.keys(of: entry).wraps
        guard let wrap = wraps.first(where: { $0.kind == KeyFile.planeKind }) else {
            throw BackupError(.key, "keys.json of \(entry.identity.backup) has no wrap that the plane can open")
        }
        do {
            let secret = try await context.custody.unwrap(wrap.key, Array(wrap.wrapped), wrap.kek, reason)
            guard secret.count == BackupKey.length else { throw BackupError(.key, "it is not 32 bytes long") }
            return BackupKey(id: wrap.key, secret: secret)
        } catch {
            throw BackupError(.key, "the key of backup \(entry.identity.backup) was not given: \(error)")
        }
    }
}

extension BackupCatalog.Entry {
    var details: [String: JSONValue] {
        [
            "backup": .string(known.backup), "name": .string(known.name), "target": .string(target.name),
        ]
    }
}

extension BackupOutcome {
    init(of manifest: Manifest, target: String, seconds: Double) {
        self.init()
        (backup, name, self.target, self.seconds) = (manifest.backup, manifest.name, target, seconds)
        (bytes, storedBytes, volumes) = (manifest.plaintextLength, manifest.ciphertextLength, manifest.volumes.count)
    }

    var details: [String: JSONValue] {
        var details: [String: JSONValue] = [
            "bytes": .integer(bytes), "bytes.stored": .integer(storedBytes), "volumes": .count(volumes),
            "seconds": .integer(Int64(seconds)),
        ]
        if let level { details["level"] = .count(level) }
        return details
    }
}
