// swift-tools-version: 6.2
// The table of the architecture (Sources/README.md): imports go downwards only,
// nodeguard → Jobs → Platform → CLibraries, and no job imports another.
import PackageDescription

let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Safe Swift only: the compiler refuses an unmarked use of a pointer, `SourceTests` refuses the mark.
let withoutPointers: [SwiftSetting] = house + [.strictMemorySafety()]

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")

func cLibrary(_ name: String, pkgConfig: String? = nil, package: String? = nil) -> Target {
    .systemLibrary(
        name: name, path: "Sources/CLibraries/\(name)", pkgConfig: pkgConfig,
        providers: package.map { [.apt([$0])] })
}

func platform(_ name: String, uses: [Target.Dependency] = [], settings: [SwiftSetting] = house) -> Target {
    .target(name: name, dependencies: uses, path: "Sources/Platform/\(name)", swiftSettings: settings)
}

func job(_ name: String, uses: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: uses, path: "Sources/Jobs/\(name)", swiftSettings: withoutPointers)
}

func program(_ name: String, path: String? = nil, uses: [Target.Dependency], settings: [SwiftSetting]) -> Target {
    .executableTarget(name: name, dependencies: uses, path: path ?? "Sources/\(name)", swiftSettings: settings)
}

func tests(_ name: String, uses: [Target.Dependency]) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: uses, path: "Tests/\(name)Tests", swiftSettings: house)
}

let package = Package(
    name: "nodeguard",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "nodeguard", targets: ["nodeguard"]),
        .executable(name: "nodeguard-plane", targets: ["nodeguard-plane"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        cLibrary("CLinux"),
        cLibrary("COpenSSL", pkgConfig: "openssl", package: "libssl-dev"),
        cLibrary("CSystemd", pkgConfig: "libsystemd", package: "libsystemd-dev"),
        // Headers alone (libp11-kit-dev): what they describe is loaded when it is needed.
        cLibrary("CPKCS11"),
        cLibrary("CCurl", pkgConfig: "libcurl", package: "libcurl4-openssl-dev"),
        cLibrary("CPostgres", pkgConfig: "libpq", package: "libpq-dev"),

        platform("Reports", uses: [logging], settings: withoutPointers),
        platform("IO", uses: ["CLinux"]),
        platform("OpenSSL", uses: ["COpenSSL", "IO"]),
        platform("Tokens", uses: ["CPKCS11", "IO", "OpenSSL", "Reports"]),
        platform("Systemd", uses: ["CSystemd", "IO", "Reports", logging]),
        platform("HTTP", uses: ["CCurl", "IO", "OpenSSL"]),
        platform("PlaneAPI", settings: withoutPointers),
        platform(
            "PlaneClient", uses: ["HTTP", "IO", "OpenSSL", "PlaneAPI", "Reports", asn1], settings: withoutPointers),

        job("Certificates", uses: ["IO", "OpenSSL", "PlaneClient", "PlaneAPI", "Reports", "Tokens"]),
        job("Management", uses: ["IO", "OpenSSL", "PlaneAPI", "PlaneClient", "Reports"]),
        job("Proxy", uses: ["IO", "OpenSSL", "Reports"]),
        job("Backups", uses: ["HTTP", "IO", "OpenSSL", "PlaneAPI", "PlaneClient", "Reports"]),
        job("Audit", uses: ["IO", "OpenSSL", "PlaneAPI", "PlaneClient", "Reports", grdb]),
        job("Status", uses: ["IO", "Reports", hummingbird, nio, nioPosix, logging]),

        program(
            "nodeguard",
            uses: [
                "Certificates", "Management", "Proxy", "Backups", "Audit", "Status", "Systemd", "HTTP", "IO", "OpenSSL",
                "PlaneAPI", "PlaneClient", "Reports", "Tokens", arguments, logging,
                .product(name: "Yams", package: "Yams"),
            ],
            settings: withoutPointers),
        program(
            "nodeguard-plane",
            uses: [
                "CPKCS11", "CPostgres", "PlaneAPI", arguments, asn1, grdb, hummingbird, hummingbirdCore, logging, nio,
                nioPosix, crypto,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
            ],
            settings: house),

        .target(
            name: "Fuzzers",
            dependencies: [
                "Audit", "Backups", "IO", "Management", "OpenSSL", "PlaneAPI", "PlaneClient", "Proxy", "Reports",
                "TestSupport", "nodeguard",
            ], path: "Tests/Fuzzers", exclude: ["Corpus"], swiftSettings: house),
        .target(
            name: "TestSupport", dependencies: ["IO", "OpenSSL", "PlaneAPI", "Reports"], path: "Tests/TestSupport",
            exclude: ["Peers"], swiftSettings: house),
        .target(
            name: "Simulations", dependencies: ["Certificates"], path: "Tests/Simulations",
            swiftSettings: house),
        program(
            "nodeguard-store-writer", path: "Tests/StoreWriter", uses: ["Certificates", "IO", "OpenSSL"],
            settings: house),
        program(
            "nodeguard-benchmark", path: "Tests/Benchmarks",
            uses: [
                "Audit", "Backups", "IO", "OpenSSL", "PlaneAPI", "PlaneClient", "Reports", "Simulations", "TestSupport",
                arguments,
            ],
            settings: house),
        tests("IO", uses: ["IO", "TestSupport"]),
        tests("OpenSSL", uses: ["OpenSSL", "IO", "TestSupport"]),
        tests("Tokens", uses: ["Tokens", "OpenSSL", "IO", "Reports", "TestSupport"]),
        tests("Systemd", uses: ["Systemd", "IO", "Reports", "TestSupport", logging]),
        tests("HTTP", uses: ["HTTP", "IO", "OpenSSL", "TestSupport"]),
        tests("PlaneAPI", uses: ["PlaneAPI"]),
        tests("PlaneClient", uses: ["PlaneClient", "PlaneAPI", "HTTP", "IO", "OpenSSL", "TestSupport"]),
        tests("Reports", uses: ["Reports"]),
        tests(
            "Certificates",
            uses: [
                "Certificates", "PlaneClient", "PlaneAPI", "OpenSSL", "IO", "Reports", "Simulations", "TestSupport",
            ]),
        tests(
            "Management",
            uses: ["Management", "PlaneClient", "PlaneAPI", "OpenSSL", "IO", "Reports", "TestSupport"]),
        tests("Proxy", uses: ["Proxy", "OpenSSL", "IO", "Reports", "TestSupport"]),
        tests("Backups", uses: ["Backups", "OpenSSL", "IO", "PlaneAPI", "PlaneClient", "Reports", "TestSupport"]),
        tests("Audit", uses: ["Audit", "OpenSSL", "IO", "PlaneAPI", "PlaneClient", "Reports", "TestSupport", grdb]),
        tests("Status", uses: ["Status", "IO", "Reports", "TestSupport", hummingbird]),
        tests(
            "Nodeguard",
            uses: [
                "nodeguard", "Certificates", "Management", "PlaneAPI", "Proxy", "Backups", "Audit", "Status", "OpenSSL",
                "IO", "Reports", "TestSupport", "Tokens", logging, nio,
            ]),
        tests(
            "NodeguardPlane",
            uses: ["nodeguard-plane", "PlaneAPI", "IO", "OpenSSL", "TestSupport", grdb, crypto, logging]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["IO", "OpenSSL", "PlaneAPI", "TestSupport"],
            path: "Tests/EndToEndTests", exclude: ["Matrix", "Clients", "Floods", "Streams"], swiftSettings: house),
        tests("Fuzzers", uses: ["Fuzzers", "nodeguard"]),
        tests("Source", uses: []),
    ]
)

// For `packaging/sanitize --sample`: what holds pointers, and the proxy, without the long build of everything else.
if Context.environment["NODEGUARD_SANITIZING"] != nil {
    let sample: Set = [
        "CLinux", "COpenSSL", "IO", "OpenSSL", "PlaneAPI", "Proxy", "Reports", "TestSupport", "IOTests", "OpenSSLTests",
        "ProxyTests",
    ]
    package.products.removeAll()
    package.targets.removeAll { !sample.contains($0.name) }
}

// For `packaging/fuzz`: libFuzzer brings the `main`, so no program is built, and of nodeguard only what reads its file.
if Context.environment["NODEGUARD_FUZZING"] != nil {
    package.products.removeAll()
    package.targets.removeAll { $0.type == .executable || $0.type == .test }
    package.targets += [
        .target(
            name: "nodeguard",
            dependencies: [
                "Audit", "Backups", "Certificates", "IO", "OpenSSL", "PlaneAPI", "Proxy", "Reports",
                .product(name: "Yams", package: "Yams"),
            ],
            exclude: ["Configuration/JobConfigurations.swift"], sources: ["ClusterTrust.swift", "Configuration"],
            swiftSettings: house),
        .executableTarget(
            name: "nodeguard-fuzz", dependencies: ["Fuzzers"], path: "Tests/LibFuzzer",
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]),
    ]
}
