import OpenSSL
import Reports

/// How a session makes a backup: performs what `PutStateMachine` decides.
extension StreamSession {
    func put(_ request: StreamRequest, from source: PassedDescriptor) async throws -> BackupOutcome {
        guard let name = request.name.flatMap({ BackupName($0) }) else { throw BackupError(.refused, BackupName.rule) }
        let target = try context.catalog.target(named: request.target)
        let identity = BackupIdentity(cluster: context.configuration.cluster, backup: BackupIdentifier())
        let put = RunningPut(
            identity: identity, name: name, target: target, request: request, source: source, watch: makeWatch())
        let number = context.figures.began(.put, identity, name: name.text, target: target.name, put.watch)
        defer { context.figures.ended(number) }
        report(.backupStarted, .success, put.details)
        do {
            let outcome = try await perform(put)
            report(.backupCompleted, .success, put.details.merging(outcome.details) { $1 })
            context.figures.made(name.text, outcome)
            return outcome
        } catch let error as BackupError {
            context.figures.notMade(name.text, error)
            throw error
        }
    }

    private func perform(_ put: RunningPut) async throws -> BackupOutcome {
        var machine = PutStateMachine(allowsEmpty: put.request.allowEmpty ?? false)
        var writer: BackupWriter?
        var sealed = SealedStream()
        var failure: BackupError?
        var producerStatus: Int32?
        var action = machine.started()
        while true {
            switch action {
            case .createKey:
                do {
                    writer = makeWriter(put, try await createKey(put.identity))
                    action = machine.keyCreated()
                } catch { action = machine.keyRefused("\(error)") }
            case .seal:
                connection.send(
                    .started(backup: put.identity.backup.text, name: put.name.text, target: put.target.name))
                do throws(BackupError) {
                    sealed = try seal(put, with: writer)
                    action = machine.streamEnded(byteCount: sealed.plaintextLength)
                } catch {
                    failure = error
                    action = machine.sealingFailed(error.description)
                }
            case .awaitProducer:
                connection.send(.ended(bytes: sealed.plaintextLength))
                switch await nextEvent() {
                case .notice(.producer(let status)):
                    producerStatus = status
                    action = machine.producerEnded(status: status)
                case .request, .gone: action = machine.clientVanished()
                }
            case .writeManifest:
                do throws(BackupError) {
                    try complete(put, sealed, producerStatus, with: writer)
                    action = machine.manifestWritten()
                } catch {
                    failure = error
                    action = machine.manifestFailed(error.description)
                }
            case .reportCompletion: return outcome(of: put, sealed)
            case .abandon(let reason):
                let error = failure ?? BackupError(reason)
                report(.backupFailed, .failure, put.details.merging(["reason": .string(error.description)]) { $1 })
                await abandon(put, writer)
                throw error
            case .ignore: preconditionFailure("a put's events come in order")
            }
        }
    }

    private func createKey(_ identity: BackupIdentity) async throws -> CreatedBackupKey {
        let created = try await context.custody.create(identity.backup.text)
        guard created.key.secret.count == BackupKey.length else {
            throw BackupError(.key, "the plane gave a key of \(created.key.secret.count) bytes")
        }
        guard BackupKey.isName(created.key.id) else { throw BackupError(.key, "the plane gave a key without a name") }
        return created
    }

    private func makeWriter(_ put: RunningPut, _ created: CreatedBackupKey) -> BackupWriter {
        let configuration = context.configuration
        return BackupWriter(
            identity: put.identity, name: put.name, node: configuration.node, version: configuration.version,
            created: created, target: put.target, layout: configuration.layout,
            width: context.memory.width(frameLength: configuration.layout.frameLength))
    }

    private func seal(_ put: RunningPut, with writer: BackupWriter?) throws(BackupError) -> SealedStream {
        guard let writer else { throw BackupError(.key, "there is no key") }
        return try writer.seal(put.source, allowsEmpty: put.request.allowEmpty ?? false, watch: put.watch)
    }

    private func complete(
        _ put: RunningPut, _ sealed: SealedStream, _ status: Int32?, with writer: BackupWriter?
    ) throws(BackupError) {
        let producer = ProducerRecord(command: put.request.command, status: status)
        _ = try writer?.complete(sealed, producer: producer)
    }

    /// What cannot be removed now has no manifest, and the next sweep finds it; a key that was never given up opens
    /// nothing.
    private func abandon(_ put: RunningPut, _ writer: BackupWriter?) async {
        guard let writer else { return }
        try? writer.abandon()
        try? await context.custody.delete(writer.created.key.id)
    }

    private func outcome(of put: RunningPut, _ sealed: SealedStream) -> BackupOutcome {
        var outcome = BackupOutcome()
        (outcome.backup, outcome.name, outcome.target) = (put.identity.backup.text, put.name.text, put.target.name)
        (outcome.bytes, outcome.storedBytes) = (sealed.plaintextLength, sealed.ciphertextLength)
        (outcome.volumes, outcome.seconds) = (sealed.volumes.count, put.watch.seconds)
        return outcome
    }
}

/// One put from its request to its end.
private struct RunningPut: Sendable {
    let identity: BackupIdentity
    let name: BackupName
    let target: any BackupTarget
    let request: StreamRequest
    let source: PassedDescriptor
    let watch: StreamWatch

    var details: [String: JSONValue] {
        [
            "backup": .string(identity.backup.text), "name": .string(name.text), "target": .string(target.name),
        ]
    }
}

extension BackupError {
    fileprivate init(_ reason: PutStateMachine.Reason) {
        switch reason {
        case .keyRefused(let why): self.init(.key, "no backup key was given, so nothing was written: \(why)")
        case .empty:
            self.init(.producer, "the stream was empty, so no backup was made; --allow-empty makes one of it, too")
        case .producerFailed(let status):
            self.init(.producer, "the producer ended with status \(status), so no backup was made")
        case .clientVanished: self.init(.producer, "the client vanished before it said how the producer ended")
        case .sealingFailed(let why), .manifestFailed(let why): self.init(.target, why)
        }
    }
}
