import ArgumentParser
import Certificates
import IO
import Reports

/// Writes certificates into the files of others. Run by nodeguard-publish.service, and by people.
struct PublishCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Write the certificates of roles with 'publish' into their folders, and tell who reads them.")

    /// Of requests that came while it was at work; whatever comes later is asked for again by the daemon.
    private static let rounds = 8

    @OptionGroup var location: ConfigurationOption
    @Option(name: .long, help: "This role alone, also if it is withheld.") var role: String?
    @Flag(name: .long, help: "Put the files of before back, and withhold the certificate of now.") var undo = false

    func validate() throws {
        if undo, role == nil { throw ValidationError("--undo needs --role.") }
    }

    func perform() async throws(VerbFailure) -> VerbStatus {
        let configuration = try read().certificatesConfiguration()
        let roles = configuration.roles.filter { candidate in
            guard let publication = candidate.publication else { return false }
            return role.map { $0 == candidate.name } ?? (publication.publisher != .daemon)
        }
        guard !roles.isEmpty else {
            throw VerbFailure(
                .usage, role.map { "there is no role \($0) with 'publish'" } ?? "no role has 'publish' for a unit")
        }
        let request = "\(configuration.stateDirectory)/\(PublicationRecord.folder)/request"
        for _ in 0..<Self.rounds {
            let mark = FileMark(of: request)
            let failures = roles.filter { !publish($0, configuration.stateDirectory) }
            if role != nil || FileMark(of: request) == mark { return failures.isEmpty ? .ready : .failed }
        }
        return .failed
    }

    private func publish(_ role: RoleConfiguration, _ state: String) -> Bool {
        guard let publication = Publication(role, stateDirectory: state) else { return true }
        do throws(PublicationError) {
            let record = undo ? try publication.undo() : try publication.run(isDemanded: self.role != nil)
            let folder = role.publication?.directory ?? ""
            let reason = record.reason.map { ": \($0)" } ?? ""
            if let time = record.postponedUntil {
                Console.say("\(role.name): waits for its window until \(Timestamp(seconds: time))")
                return true
            }
            switch record.outcome {
            case .published where record.hasChanged:
                Console.say("\(role.name): published in \(folder), serial \(record.serial ?? "")")
            case .published: Console.say("\(role.name): nothing new for \(folder)")
            case .withheld: Console.say("\(role.name): withheld from \(folder)\(reason)")
            case .failed: Console.complain("\(role.name): not published in \(folder)\(reason)")
            }
            return record.outcome != .failed
        } catch {
            Console.complain("\(role.name): \(error)")
            return false
        }
    }

    /// Whoever can change the configuration of a program that runs as root can have root run what he likes: `reload` is
    /// a command. Looks at the file and at every folder above it, as sshd does (sshd_config(5), StrictModes).
    private func read() throws(VerbFailure) -> NodeConfiguration {
        guard Account.own == 0 else { return try location.read() }
        let path: String
        let flaw: String?
        do throws(IOError) {
            path = try Files.realPath(location.config)
            flaw = try Files.foreignWriter(of: path)
        } catch { throw VerbFailure(.configuration, error.description) }
        if let flaw {
            throw VerbFailure(
                .notAllowed, "\(path) names commands that root is to run, but \(flaw): chown root and chmod go-w it")
        }
        do { return try NodeConfiguration.read(path) } catch { throw VerbFailure(.configuration, error.description) }
    }
}
