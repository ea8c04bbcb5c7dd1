import Foundation
import IO
import OpenSSL
import Reports
import TestSupport
import Testing

@testable import Certificates

/// A state folder that is a file system of its own, so that the disk is really full, or really read-only.
private final class SmallDisk: Sendable {
    let state: TemporaryDirectory

    init() throws {
        state = try TemporaryDirectory()
        try Subprocess.check("mount", ["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", state.path])
    }

    deinit { _ = try? Subprocess.run("umount", ["--lazy", state.path]) }

    /// To the last block.
    func fill() throws {
        let result = try Subprocess.run("dd", ["if=/dev/zero", "of=\(state.file("ballast"))", "bs=4096"])
        guard result.errors.contains("No space left") else { throw TestSupportError("it is not full: \(result)") }
    }

    func makeRoom() throws { try FileManager.default.removeItem(atPath: state.file("ballast")) }
    func allow(_ access: String) throws {
        try Subprocess.check("mount", ["-o", "remount,\(access)", state.path])
    }
}

@Suite(.serialized) struct `A state folder that cannot be written` {
    private func ready(_ disk: SmallDisk) async throws -> (ESTServer, Node) {
        let server = try await ESTServer()
        try disk.state.write(try server.bundle(), to: "bundle")
        let node = Node(disk.state, url: server.url)
        await node.start()
        try await node.waits { $0.isReady && !$0.said.nodeIdentities.isEmpty }
        return (server, node)
    }

    /// It is wanted again and again, and nobody hears of it but the operator.
    private func checkRefusal(_ node: Node, _ server: ESTServer, words: String) async throws {
        let (asked, failures) = (server.requests.count, node.events(.certificateFailed).count)
        #expect(await node.renewer.renew(role: "database") == .begun)
        try await node.waits { $0.events(.certificateFailed).count >= failures + 3 }
        #expect(server.requests.count == asked, "no certificate is asked for that cannot be stored")
        #expect(node.shown("last_error_class") == "local")
        #expect(node.detail("CERTIFICATE_STORE_NOT_WRITABLE")?.contains(words) == true)
        #expect(node.isReady && node.health.snapshot.state != .ready && node.served().count == 1)
    }

    private func checkRecovery(_ node: Node) async throws {
        try await node.waits {
            $0.served().count == 2 && !$0.codes.contains("CERTIFICATE_STORE_NOT_WRITABLE")
                && $0.shown("last_error_class") == nil
        }
        #expect(node.isReady)
    }

    @Test func `because it is full keeps what is served, asks for nothing, says so, and recovers`() async throws {
        let disk = try SmallDisk()
        let (server, node) = try await ready(disk)
        try disk.fill()
        try await checkRefusal(node, server, words: "No space left on device")
        try disk.makeRoom()
        try await checkRecovery(node)
        await node.stop()
        let loaded = try CertificateStore(role: "database", stateDirectory: disk.state.path).load()
        #expect(loaded.certificate?.identity.leaf == node.served().last?.leaf && loaded.damage == [])
    }

    @Test func `because it is read-only serves after a restart, too, and recovers without one`() async throws {
        let disk = try SmallDisk()
        let (server, first) = try await ready(disk)
        let served = first.served().last?.leaf
        try disk.allow("ro")
        try await checkRefusal(first, server, words: "Read-only file system")
        await first.stop()

        let node = Node(disk.state, url: server.url)
        await node.start()
        try await node.waits { $0.isReady }
        #expect(node.served().last?.leaf == served)
        try await checkRefusal(node, server, words: "Read-only file system")
        try disk.allow("rw")
        try await checkRecovery(node)
        await node.stop()
    }
}
