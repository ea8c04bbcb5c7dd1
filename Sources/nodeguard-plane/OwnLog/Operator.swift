import FoundationEssentials
import Glibc

/// The person at a verb: who called sudo(8), else whose process it is; with the user id that the kernel gives.
struct Operator: Sendable, Hashable {
    let name: String
    let uid: Int64

    static var current: Operator {
        Operator(uid: getuid(), sudoUser: ProcessInfo.processInfo.environment["SUDO_USER"])
    }

    /// Only root's environment comes from sudo(8); anybody else may have written it.
    init(uid: uid_t, sudoUser: String?) {
        self.uid = Int64(uid)
        if uid == 0, let sudoUser, !sudoUser.isEmpty {
            name = String(sudoUser.prefix(64))
        } else if let entry = getpwuid(uid) {
            name = String(cString: entry.pointee.pw_name)
        } else {
            name = "uid \(uid)"
        }
    }
}

extension PlaneEvent.Actor {
    /// Of a verb.
    static var caller: Self { .person(.current) }
}
