import COpenSSL
import Glibc

/// Files with a private key: read into secure memory, written durably with mode 0600.
enum KeyFile {
    private static let sizeLimit = 64 << 10

    static func read(_ path: String) throws(OpenSSLError) -> SecretBytes {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw OpenSSLError(systemCall: "open \(path)") }
        defer { close(descriptor) }
        return try read(descriptor, path)
    }

    /// `path`: what it is called in errors.
    static func read(_ descriptor: Int32, _ path: String) throws(OpenSSLError) -> SecretBytes {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw OpenSSLError(systemCall: "look at \(path)") }
        guard status.st_mode & S_IFMT == S_IFREG, (1...sizeLimit).contains(Int(status.st_size)) else {
            throw OpenSSLError("read \(path)", "it is not a file of 1 to \(sizeLimit) bytes")
        }
        var code: Int32 = 0
        let text = SecretBytes(count: Int(status.st_size)) { buffer in
            var filled = 0
            while filled < buffer.count {
                let got = Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
                if got < 0, errno == EINTR { continue }
                guard got > 0 else {
                    code = got < 0 ? errno : EIO
                    return
                }
                filled += got
            }
        }
        guard code == 0 else { throw OpenSSLError(systemCall: "read \(path)", code: code) }
        return text
    }

    static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws(OpenSSLError) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let suffix = secureRandom(8).map { String($0, radix: 16) }.joined()
        let temporary = "\(path).\(suffix).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw OpenSSLError(systemCall: "create \(temporary)") }
        do throws(OpenSSLError) {
            defer { close(descriptor) }
            try fill(descriptor, with: bytes, path: temporary)
            guard rename(temporary, path) == 0 else { throw OpenSSLError(systemCall: "rename to \(path)") }
        } catch {
            unlink(temporary)
            throw error
        }
        try synchronize(folder: folder)
    }

    private static func fill(
        _ descriptor: Int32, with bytes: UnsafeRawBufferPointer, path: String
    ) throws(OpenSSLError) {
        // O_CREAT's mode is cut by the umask, never widened; this one is exact.
        guard fchmod(descriptor, 0o600) == 0 else { throw OpenSSLError(systemCall: "set the mode of \(path)") }
        var offset = 0
        while offset < bytes.count {
            let put = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            if put < 0, errno == EINTR { continue }
            guard put > 0 else { throw OpenSSLError(systemCall: "write \(path)") }
            offset += put
        }
        guard fsync(descriptor) == 0 else { throw OpenSSLError(systemCall: "synchronize \(path)") }
    }

    private static func synchronize(folder: String) throws(OpenSSLError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw OpenSSLError(systemCall: "open \(folder)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw OpenSSLError(systemCall: "synchronize \(folder)") }
    }
}
