import ArgumentParser
import FoundationEssentials
import Glibc
import IO
import PlaneAPI

/// Puts a join bundle where the daemon will find it.
struct JoinCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Give this node its join bundle; the running or next daemon uses it.",
        discussion: "The bundle holds a token that works once: it is read from a file or pasted, never an argument.")

    @OptionGroup var location: ConfigurationOption
    @Argument(help: "A file that holds the bundle, or '-' for standard input.")
    var bundle: String

    func perform() async throws(VerbFailure) -> VerbStatus {
        if bundle.contains(JoinBundle.prefix) { throw VerbFailure(.usage, Self.exposed) }
        let configuration = try location.read()
        guard let management = configuration.management else {
            throw VerbFailure(.configuration, "\(location.config) has no 'management': there is nothing to join")
        }
        let joining = try Self.parse(bundle == "-" ? Self.pasted() : Self.contents(of: bundle))
        if let difference = Self.difference(joining, configuration) {
            throw VerbFailure(.configuration, "\(location.config): \(difference)")
        }
        try Self.store(joining, at: management.join, ownerOf: configuration.node.state)
        Console.say(
            "the bundle for \(joining.node) of \(joining.cluster) is in \(management.join); the daemon will use it"
        )
        if joining.url != management.url {
            Console.complain("note: the bundle is from \(joining.url), the configuration names \(management.url)")
        }
        return .ready
    }

    private static let exposed = """
        a join bundle given as an argument can be seen by every user of this machine and stays in the shell's history: \
        ask for a new one, then paste it into 'nodeguard join -' or name its file
        """

    private static func pasted() -> String { readLine(strippingNewline: true) ?? "" }

    private static func contents(of path: String) throws(VerbFailure) -> String {
        do {
            return String(decoding: try Files.read(path, limit: JoinBundle.sizeLimit), as: UTF8.self)
        } catch {
            throw VerbFailure(.failed, "cannot read the join bundle: \(error)")
        }
    }

    static func parse(_ text: String) throws(VerbFailure) -> JoinBundle {
        do {
            return try JoinBundle(text: text)
        } catch {
            throw VerbFailure(.failed, error.description)
        }
    }

    /// The bundle's node and cluster win, so a configuration that says otherwise is wrong.
    static func difference(_ bundle: JoinBundle, _ configuration: NodeConfiguration) -> String? {
        if bundle.node != configuration.node.name {
            return "this node is '\(configuration.node.name)' here, but the bundle is for '\(bundle.node)'"
        }
        if let cluster = configuration.node.cluster, bundle.cluster != cluster {
            return "the cluster is '\(cluster)' here, but the bundle is for '\(bundle.cluster)'"
        }
        return nil
    }

    /// Whoever runs the daemon must be able to read and remove it: when root stores it, it goes to the owner of the
    /// state.
    static func store(_ bundle: JoinBundle, at path: String, ownerOf state: String) throws(VerbFailure) {
        let folder = Files.folder(of: path)
        do {
            let isNew = !Files.exists(folder)
            try Files.makeDirectory(folder, mode: 0o700)
            try Files.write(Array((try bundle.text + "\n").utf8), to: path, mode: 0o600)
            guard geteuid() == 0, Files.exists(state) else { return }
            let attributes = try FileManager.default.attributesOfItem(atPath: state)
            var owner: [FileAttributeKey: any Sendable] = [:]
            owner[.ownerAccountID] = attributes[.ownerAccountID] as? Int
            owner[.groupOwnerAccountID] = attributes[.groupOwnerAccountID] as? Int
            for item in isNew ? [folder, path] : [path] {
                try FileManager.default.setAttributes(owner, ofItemAtPath: item)
            }
        } catch {
            throw VerbFailure(.failed, "cannot store the join bundle at \(path): \(error)")
        }
    }
}
