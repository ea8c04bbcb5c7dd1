import IO
import OpenSSL
import TestSupport
import Testing

@Suite struct `The algorithms give the published results` {
    @Test func `AES-256-GCM (McGrew and Viega, cases 13, 14 and 16)`() throws {
        let zero = try AES256GCM(key: SecretBytes(count: 32))
        let none = [UInt8](repeating: 0, count: 12)
        #expect(try zero.seal(iv: none, aad: [], []) == hex("530f8afbc74536b9a963b4f1c4cb738b"))
        #expect(
            try zero.seal(iv: none, aad: [], [UInt8](repeating: 0, count: 16))
                == hex("cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919"))
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
        let cipher = try AES256GCM(key: SecretBytes(copying: key))
        let plain = hex(
            """
            d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
            1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39
            """)
        let iv = hex("cafebabefacedbaddecaf888")
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let sealed = hex(
            """
            522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
            8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662
            76fc6ece0f4e1768cddf8853bb2d551b
            """)
        for _ in 0..<3 {
            #expect(try cipher.seal(iv: iv, aad: aad, plain) == sealed)
            #expect(cipher.open(iv: iv, aad: aad, sealed) == plain)
        }
    }

    @Test func `HKDF (RFC 5869 A.1, and the same input with SHA-512)`() throws {
        let secret = SecretBytes(copying: [UInt8](repeating: 0x0B, count: 22))
        let salt = hex("000102030405060708090a0b0c")
        let info = hex("f0f1f2f3f4f5f6f7f8f9")
        let short = try KeyDerivation.hkdfSHA256(secret: secret, salt: salt, info: info, count: 42)
        #expect(
            short.copy()
                == hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"))
        let long = try KeyDerivation.hkdfSHA512(secret: secret, salt: salt, info: info, count: 42)
        #expect(
            long.copy()
                == hex("832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb"))
        // RFC 5869 A.3: neither salt nor info.
        let bare = try KeyDerivation.hkdfSHA256(secret: secret, salt: [], info: [], count: 42)
        #expect(
            bare.copy()
                == hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"))
    }

    @Test func `HMAC-SHA-256 (RFC 4231, case 2)`() {
        let code = MessageAuthentication.hmacSHA256(
            key: SecretBytes(copying: Array("Jefe".utf8)), Array("what do ya want for nothing?".utf8))
        #expect(code == hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
    }

    @Test func `Ed25519 (RFC 8032 §7.1, test 2)`() throws {
        let folder = try temporaryDirectory()
        // PKCS#8 around the 32 bytes of the seed.
        let der =
            hex("302e020100300506032b657004220420")
            + hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
        try folder.write(der, to: "key.der")
        let path = folder.file("key.pem")
        try Subprocess.check("openssl", ["pkey", "-inform", "DER", "-in", folder.file("key.der"), "-out", path])
        let key = try PrivateKey(pemFile: path)
        let publicKey = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        #expect(key.rawPublicKey == publicKey)
        let signature = hex(
            """
            92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
            085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00
            """)
        #expect(try key.sign([0x72]) == signature)
        #expect(PrivateKey.verify(signature: signature, of: [0x72], ed25519PublicKey: publicKey))
        #expect(PrivateKey.verify(signature: signature, of: [0x72], publicKeyDER: key.publicKeyDER))
        #expect(!PrivateKey.verify(signature: signature, of: [0x73], ed25519PublicKey: publicKey))
        #expect(!PrivateKey.verify(signature: signature, of: [0x72], ed25519PublicKey: Array(publicKey.dropLast())))
        #expect(!PrivateKey.verify(signature: [], of: [0x72], ed25519PublicKey: publicKey))
        #expect(!PrivateKey.verify(signature: signature, of: [0x72], publicKeyDER: [0x30]))
    }

    @Test func `SHA-256 (FIPS 180), at once and in pieces`() {
        let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(Digest.sha256(Array("abc".utf8)) == expected)
        let digest = Digest.SHA256()
        for _ in 0..<2 {
            digest.update(Array("a".utf8))
            digest.update([])
            digest.update(LaneBuffer(Array("bc".utf8)))
            #expect(digest.finish() == expected)
        }
        #expect(digest.finish() == hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    }

    @Test func `CRC-32C (RFC 3720 B.4), at once and in pieces of every size`() {
        #expect(Digest.crc32c(Array("123456789".utf8)) == 0xE306_9283)
        #expect(Digest.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(Digest.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(Digest.crc32c(Array(0..<32)) == 0x46DD_794E)
        #expect(Digest.crc32c([]) == 0)
        let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let whole = Digest.crc32c(bytes)
        for cut in 0...100 {
            let first = Digest.crc32c(Array(bytes.prefix(cut)))
            #expect(Digest.crc32c(LaneBuffer(Array(bytes.dropFirst(cut))), continuing: first) == whole)
        }
    }
}

@Suite struct `CRC-32C of long runs` {
    @Test(arguments: [16 << 10, (16 << 10) + 1, 100_003, 1 << 20])
    func `is that of their short pieces`(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 >> 3) }
        var pieces = Digest.crc32c([])
        for start in stride(from: 0, to: count, by: 1000) {
            let piece = LaneBuffer(Array(bytes[start..<min(count, start + 1000)]))
            pieces = Digest.crc32c(piece, continuing: pieces)
        }
        #expect(Digest.crc32c(bytes) == pieces)
        #expect(Digest.crc32c(LaneBuffer(bytes), continuing: 0x1234_5678) != pieces)
    }
}

@Suite struct `Sealing` {
    @Test func `opens what it sealed, a mebibyte in one call, and empties the plain buffer`() throws {
        let cipher = try AES256GCM(key: SecretBytes(random: 32))
        let data = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 3) }
        let iv = secureRandom(12)
        let plain = LaneBuffer(data)
        let sealed = LaneBuffer(capacity: (1 << 20) + 16)
        try cipher.seal(iv: iv, aad: [1, 2], plain: plain, into: sealed)
        #expect(plain.isEmpty)
        #expect(sealed.count == data.count + 16)
        #expect(sealed.bytes() == (try cipher.seal(iv: iv, aad: [1, 2], data)))
        let tag = Array(sealed.bytes().suffix(16))
        #expect(cipher.open(iv: iv, aad: [1, 2], cipher: sealed, count: data.count, tag: tag, into: plain))
        #expect(plain.bytes() == data)
        #expect(sealed.bytes() == tag)
    }

    @Test func `opens nothing that was changed, and leaves no plaintext behind`() throws {
        let cipher = try AES256GCM(key: SecretBytes(random: 32))
        let iv = secureRandom(12)
        let plain = Array("attack at dawn".utf8)
        let sealed = try cipher.seal(iv: iv, aad: [9], plain)
        for bit in 0..<sealed.count * 8 {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(cipher.open(iv: iv, aad: [9], changed) == nil)
        }
        for cut in 0..<sealed.count { #expect(cipher.open(iv: iv, aad: [9], Array(sealed.prefix(cut))) == nil) }
        #expect(cipher.open(iv: iv, aad: [9], sealed + [0]) == nil)
        #expect(cipher.open(iv: iv, aad: [8], sealed) == nil)
        #expect(cipher.open(iv: iv, aad: [], sealed) == nil)
        #expect(cipher.open(iv: secureRandom(12), aad: [9], sealed) == nil)
        #expect(try AES256GCM(key: SecretBytes(random: 32)).open(iv: iv, aad: [9], sealed) == nil)

        let body = LaneBuffer(Array(sealed.dropLast(16)))
        let output = LaneBuffer(capacity: 100)
        let tag = [UInt8](repeating: 0, count: 16)
        #expect(!cipher.open(iv: iv, aad: [9], cipher: body, count: body.count, tag: tag, into: output))
        #expect(!cipher.open(iv: iv, aad: [9], cipher: body, count: body.count, tag: [], into: output))
        #expect(output.isEmpty && body.count == plain.count)
        output.withFreeSpace { space in
            #expect(space.prefix(plain.count).allSatisfy { $0 == 0 })
            return 0
        }
        #expect(cipher.open(iv: iv, aad: [9], sealed) == plain)
    }

    @Test func `refuses a key of a wrong length`() {
        #expect(throws: OpenSSLError.self) { _ = try AES256GCM(key: SecretBytes(count: 16)) }
    }
}
