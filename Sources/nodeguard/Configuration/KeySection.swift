import Tokens

/// `key:` of all certificates, or of one role: what kind of key is made, and where it stays.
struct KeySection: Sendable, Equatable {
    enum Kind: String, Sendable, CaseIterable {
        case ecP256 = "ec-p256"
        case ecP384 = "ec-p384"
        case rsa3072 = "rsa-3072"
    }

    var kind = Kind.ecP256
    /// nil: in a file of the state folder.
    var store: KeyStore?

    static func read(_ section: Section, default general: KeySection) -> KeySection? {
        let kind = section.value("kind", Form<Kind>.word("kind of key")) ?? general.kind
        let store = section.value("store", Form<KeyStore?>.keyStore) ?? general.store
        if case .tpm = store, kind != .ecP256 {
            section.add(
                "a TPM makes keys of the kind ec-p256 here, and none of the kind \(kind.rawValue)",
                at: section.place(of: section.has("kind") ? "kind" : "store"))
        }
        return KeySection(kind: kind, store: store)
    }

    var shown: ConfigurationText.Members {
        [("kind", .text(kind.rawValue)), ("store", .text(store?.text ?? "file"))]
    }
}

extension Form where Value == KeyStore? {
    fileprivate static var keyStore: Form {
        Form { text throws(Flaw) in
            if text == "file" { return nil }
            guard ["tpm", "pkcs11:", "handle:"].contains(where: text.hasPrefix) else {
                throw Flaw("'\(text)' is no key store: write file, tpm or a pkcs11: URI")
            }
            do throws(TokenURI.Flaw) {
                return try KeyStore(text)
            } catch {
                throw Flaw(error.text)
            }
        }
    }
}
