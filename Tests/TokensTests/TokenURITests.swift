import Testing

@testable import Tokens

@Suite struct `A key store's name` {
    private func flaw(_ text: String) -> String? {
        do throws(TokenURI.Flaw) {
            _ = try KeyStore(text)
            return nil
        } catch {
            return error.text
        }
    }

    @Test func `is a PKCS 11 URI that names a token, its module and where its PIN is`() throws {
        let uri = try TokenURI(
            "pkcs11:token=Rack%2042%3B;serial=0001;manufacturer=A;model=B;slot-id=7"
                + "?module-path=/usr/lib/a%20b.so&pin-source=credential:pin")
        #expect(uri.token == "Rack 42;" && uri.serial == "0001" && uri.manufacturer == "A" && uri.model == "B")
        #expect(uri.slot == 7 && uri.module == "/usr/lib/a b.so" && uri.pin == .credential("pin"))
        #expect(uri.name == "pkcs11:token=Rack%2042%3B;serial=0001;manufacturer=A;model=B;slot-id=7")
        for source in ["file:/etc/pin", "file:///etc/pin", "/etc/pin"] {
            let uri = try TokenURI("pkcs11:token=a?module-path=/m.so&pin-source=\(source)")
            #expect(uri.pin == .file("/etc/pin"))
        }
        #expect(try TokenURI("pkcs11:serial=1?module-path=/m.so").pin == nil)
    }

    @Test(arguments: [
        ("pkcs11:token=a?module-path=/m.so&pin-value=1234", "a PIN does not stand in the configuration"),
        ("pkcs11:token=a", "names no module"), ("pkcs11:?module-path=/m.so", "must name one token"),
        ("pkcs11:token=a?module-path=m.so", "begins with /"),
        ("pkcs11:token=a;object=k?module-path=/m.so", "names a key"),
        ("pkcs11:token=a;token=b?module-path=/m.so", "there twice"),
        ("pkcs11:token=%4?module-path=/m.so", "write name=value"),
        ("pkcs11:token=%+1?module-path=/m.so", "write name=value"),
        ("pkcs11:token=%FF?module-path=/m.so", "write name=value"),
        ("pkcs11:token?module-path=/m.so", "write name=value"), ("pkcs11:slot-id=x?module-path=/m.so", "is no number"),
        ("pkcs11:token=a;color=red?module-path=/m.so", "'color' is not known here"),
        ("pkcs11:token=a?module-path=/m.so&pin-source=credential:../x", "is no name of a credential"),
        ("pkcs11:token=a?module-path=/m.so&pin-source=|cat", "must be file:/path or credential:NAME"),
        ("handle:0x81000001", "write tpm"), ("tpm:", "must be tpm"), ("tpm:a b", "must be tpm"),
    ])
    func `is refused with the reason where it is none`(text: String, reason: String) {
        #expect(flaw(text)?.contains(reason) == true, "\(flaw(text) ?? "no flaw")")
    }

    @Test func `never shows a PIN that stood in it`() {
        #expect(flaw("pkcs11:token=a?module-path=/m.so&pin-value=1234")?.contains("1234") == false)
    }

    @Test(arguments: ["tpm", "tpm:device:/dev/tpm0", "pkcs11:token=a?module-path=/m.so"])
    func `reads as what it was written from`(text: String) throws {
        #expect(try KeyStore(text).text == text)
        #expect(try KeyStore(KeyStore(text).text) == KeyStore(text))
    }
}
