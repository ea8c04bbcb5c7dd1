import ArgumentParser
import Glibc
import Logging
import NIOCore

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the plane; makes what is missing in the state folder.",
        discussion: "Prints one line `listening on https://…` when it is ready. SIGTERM and SIGINT stop it.")

    private static let storeThreads = 16

    @OptionGroup var state: StateOption
    @Option(help: "ADDR:PORT to listen on; an IPv6 address in brackets, port 0 for any free one.")
    var listen: String
    @Option(help: "A DNS name of this plane, for its certificate and for join bundles; repeatable.")
    var name: [String] = []
    @Option(
        help: ArgumentHelp(
            "Make and keep the keys in this PKCS #11 token; once said, it stands in the state folder.",
            discussion: "pkcs11:token=LABEL?module-path=/PATH.so&pin-source=file:/PATH; never with a PIN in it.",
            valueName: "uri"))
    var hsm: String?
    @Flag(help: "Start on a database that is older than what this plane has signed; recorded.")
    var acceptOlderDatabase = false
    @Flag(help: "Log every refusal, not only failures.")
    var verbose = false

    func validate() throws {
        if ListenAddress(listen) == nil {
            throw ValidationError("--listen '\(listen)' is not ADDR:PORT, such as 127.0.0.1:8443 or [::]:8443")
        }
    }

    func run() async throws {
        guard let address = ListenAddress(listen) else { throw ValidationError("--listen is not ADDR:PORT") }
        // Many of them only wait, for the store and for those that write before them.
        NIOSingletons.blockingPoolThreadCountSuggestion = Self.storeThreads
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "nodeguard-plane")
        logger.logLevel = verbose ? .info : .warning
        let state = try state.open(creating: true, hsm: hsm.map { try TokenAddress($0) })
        try state.requireToken()
        let memory = LogMemory(state)
        try memory.check(accepting: acceptOlderDatabase, now: UnixTime.now, state.database)
        if state.keys.token != nil { for line in try KeyInventory(state).warnings { logger.warning("\(line)") } }
        let server = PlaneServer(state: state, listen: address, names: name, memory: memory, logger: logger)
        do {
            try await server.run { url in
                print("listening on \(url)")
                fflush(nil)
            }
        } catch let problem as PlaneProblem {
            throw problem
        } catch {
            throw PlaneProblem(
                "cannot listen on \(listen)", remedy: "\(error); is another process there, or the address not ours?")
        }
    }
}
