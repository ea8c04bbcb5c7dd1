import Foundation

/// Programs that were built beside the tests.
package enum BuiltProgram {
    package static var nodeguard: String {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("nodeguard").path
    }
}

/// SoftHSM's tokens in a folder of their own, behind a module that finds them by itself, and can be made to hang or
/// lie.
package final class TestTokens: Sendable {
    package static let pin = "482913"

    package let folder: TemporaryDirectory

    package init() throws {
        folder = try TemporaryDirectory(prefix: "tokens")
        try FileManager.default.createDirectory(atPath: folder.file("tokens"), withIntermediateDirectories: false)
        try folder.write(
            "directories.tokendir = \(folder.file("tokens"))\nobjectstore.backend = file\nlog.level = ERROR\n",
            to: "softhsm2.conf")
        let files = [("HANG", "hang"), ("LIE", "lie"), ("LOGINS", "logins"), ("CONF", "softhsm2.conf")]
        try Self.compile(
            "slow_token.c", to: module,
            ["-shared", "-fPIC"] + files.map { "-D\($0.0)=\"\(folder.file($0.1))\"" })
        try folder.write(Self.pin + "\n", to: "pin")
    }

    private static func compile(_ name: String, to output: String, _ words: [String]) throws {
        let peers = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Peers")
        try Subprocess.check(
            "clang", ["-Wall", "-Werror", "-o", output, peers.appendingPathComponent(name).path] + words)
    }

    /// What who uses the tokens must have in the environment.
    package var environment: [String: String] { ["SOFTHSM2_CONF": folder.file("softhsm2.conf")] }
    package var module: String { folder.file("module.so") }
    package var pinFile: String { folder.file("pin") }

    package func make(_ label: String) throws {
        try Subprocess.check(
            "softhsm2-util",
            ["--init-token", "--free", "--label", label, "--so-pin", "73512", "--pin", Self.pin],
            environment: environment)
    }

    package func store(_ label: String) -> String {
        "pkcs11:token=\(label)?module-path=\(module)&pin-source=file:\(pinFile)"
    }

    package var isHanging: Bool { FileManager.default.fileExists(atPath: folder.file("hang")) }
    package func hang() throws { try folder.write("", to: "hang") }
    package func goOn() throws { try FileManager.default.removeItem(atPath: folder.file("hang")) }

    /// Keys that are made from now on can be taken out, whatever was asked for.
    package func lie() throws { try folder.write("", to: "lie") }

    /// What somebody with the first token and its PIN gets of each key, by its label; of a key of their own at last.
    package func steal() throws -> [String] {
        try Self.compile("key_thief.c", to: folder.file("thief"), [])
        let told = try Subprocess.check(folder.file("thief"), [module, Self.pin])
        return told.split(separator: "\n").map(String.init)
    }

    /// Of all tokens, right or wrong.
    package var loginCount: Int { (try? folder.read("logins").count) ?? 0 }

    /// All tokens are pulled out, or put back.
    package func pull() throws {
        try FileManager.default.moveItem(atPath: folder.file("tokens"), toPath: folder.file("pulled"))
        try FileManager.default.createDirectory(atPath: folder.file("tokens"), withIntermediateDirectories: false)
    }

    package func putBack() throws {
        try FileManager.default.removeItem(atPath: folder.file("tokens"))
        try FileManager.default.moveItem(atPath: folder.file("pulled"), toPath: folder.file("tokens"))
    }

    /// pkcs11-tool(1) as a stranger to nodeguard who knows the PIN.
    package func tool(_ label: String, _ arguments: [String]) throws -> Subprocess.Result {
        try Subprocess.run(
            "pkcs11-tool",
            ["--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", label, "--login", "--pin", Self.pin]
                + arguments, environment: environment)
    }

    /// CKA_IDs of private keys.
    package func keys(_ label: String) throws -> [String] {
        let listed = try tool(label, ["--list-objects", "--type", "privkey"])
        guard listed.succeeded else { throw TestSupportError("\(listed)") }
        return listed.output.split(separator: "\n").filter { $0.contains("ID:") }.map { line in
            line.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? ""
        }
    }
}

/// A software TPM 2.0, reached through a unix socket.
package final class TestTPM: @unchecked Sendable {
    package let folder: TemporaryDirectory
    private var process: Subprocess?

    package init() async throws {
        folder = try TemporaryDirectory(prefix: "tpm")
        try FileManager.default.createDirectory(atPath: folder.file("state"), withIntermediateDirectories: false)
        try await start()
    }

    private var socket: String { folder.file("s") }
    package var store: String { "tpm:swtpm:path=\(socket)" }

    package func start() async throws {
        process = try Subprocess(
            "swtpm",
            [
                "socket", "--tpm2", "--tpmstate", "dir=\(folder.file("state"))", "--server",
                "type=unixio,path=\(socket)", "--ctrl", "type=unixio,path=\(socket).ctrl", "--flags",
                "startup-clear,not-need-init",
            ])
        let isThere = await eventually(within: 20) { FileManager.default.fileExists(atPath: socket) }
        guard isThere else { throw TestSupportError("swtpm does not listen: \(process?.errors ?? "")") }
    }

    package func kill() async {
        process?.signal(SIGKILL)
        _ = try? await process?.waitForEnd()
        process = nil
        for name in ["s", "s.ctrl"] { try? FileManager.default.removeItem(atPath: folder.file(name)) }
    }

    package func halt() { process?.signal(SIGSTOP) }

    /// And does what the kernel's resource manager does: forgets the keys that a killed process had loaded. The TPM has
    /// one client at a time, so that there may be another before this one.
    package func goOn() async throws {
        process?.signal(SIGCONT)
        let isFlushed = await eventually(within: 60) {
            let flushed = try? Subprocess.run(
                "tpm2_flushcontext", ["--tcti=swtpm:path=\(socket)", "--transient-object"], within: 20)
            return flushed?.succeeded == true
        }
        guard isFlushed else { throw TestSupportError("the TPM does not forget its keys") }
    }
}
