import IO
import OpenSSL

/// What a node that starts finds of the desired state that it had applied, verified again.
package enum StoredDesiredState: Sendable {
    case none
    case verified(VerifiedDesiredState)
    /// Nobody knows whom it denied: until the plane gives another, nobody is let in.
    case unusable(DesiredRefusal)

    /// `roots`: whom the node trusts.
    package static func load(
        stateDirectory: String, for reader: VerifiedDesiredState.Reader, roots: [Certificate]
    ) -> StoredDesiredState {
        let store = DesiredStateStore(stateDirectory: stateDirectory)
        let bytes: [UInt8]
        do throws(IOError) {
            guard let found = try store.load() else { return .none }
            bytes = found
        } catch { return .unusable(DesiredRefusal(.storedUnusable, error.description)) }
        do throws(DesiredRefusal) {
            return .verified(try VerifiedDesiredState(verifying: bytes, for: reader, roots: roots, at: nil))
        } catch { return .unusable(DesiredRefusal(.storedUnusable, "\(store.path): \(error)")) }
    }
}
