import ArgumentParser
import Audit
import IO
import PlaneAPI
import Reports

/// Checks an exported log anywhere: it needs neither the daemon nor the plane.
struct AuditVerifyCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check a log that `nodeguard-plane audit export` wrote; exit status 0 or 2.",
        discussion: """
            Rebuilds the sequence and the hash tree from the events alone. Without a key the signatures are not \
            checked, and the verdict says so.
            """)

    @OptionGroup var location: ConfigurationOption
    @OptionGroup var form: JSONFlag
    @Option(
        name: .long,
        help:
            "A verifier key, or a file of them (`nodeguard-plane audit keys`), or of one public key as PEM; repeatable."
    )
    var key: [String] = []
    @Argument(help: "The exported log, or '-' for standard input.") var file: String

    func perform() async throws(VerbFailure) -> VerbStatus {
        let keys = try Self.keys(key)
        let verdict: AuditVerifier.Verdict
        do throws(IOError) {
            verdict = try AuditVerifier.verify(file: file == "-" ? "/dev/stdin" : file, keys: keys)
        } catch {
            throw VerbFailure(.failed, "the log cannot be read: \(error)")
        }
        Console.say(form.json ? Self.json(verdict).text : Self.text(verdict))
        if case .broken = verdict { return .failed }
        return .ready
    }

    /// Each is a verifier key itself, or the file that has some.
    private static func keys(_ given: [String]) throws(VerbFailure) -> VerifierKeys {
        var keys = VerifierKeys()
        for text in given {
            do {
                let isFile = Files.exists(text) || !text.contains("+")
                try keys.add(
                    isFile
                        ? String(decoding: try Files.read(text, limit: VerifierKeys.sizeLimit), as: UTF8.self) : text)
            } catch {
                throw VerbFailure(.usage, "--key \(text.printable): \("\(error)".printable)")
            }
        }
        return keys
    }

    static func text(_ verdict: AuditVerifier.Verdict) -> String {
        switch verdict {
        case .broken(let reason): return "BROKEN: \(reason.printable)"
        case .intact(let events, let origin, let isSigned, let isCosigned):
            let signer = origin.hasPrefix(AuditBatches.planeOrigin("")) ? "plane" : "node"
            let signature =
                isSigned == nil ? "its signature was not checked (--key)" : "the \(signer)'s signature holds"
            let cosignature =
                isCosigned == nil ? "the plane's cosignature was not checked (--key)" : "the plane's cosignature holds"
            return "intact: \(events) events of \(origin.printable); sequence and hash tree hold, "
                + "\(signature), \(cosignature)"
        }
    }

    static func json(_ verdict: AuditVerifier.Verdict) -> JSONValue {
        switch verdict {
        case .broken(let reason): ["intact": false, "reason": .string(reason)]
        case .intact(let events, let origin, let isSigned, let isCosigned):
            [
                "intact": true, "events": .count(events), "origin": .string(origin),
                "signed": isSigned.map { .boolean($0) } ?? .null,
                "cosigned": isCosigned.map { .boolean($0) } ?? .null,
            ]
        }
    }
}
