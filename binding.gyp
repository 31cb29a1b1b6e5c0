# For a machine without CMake (it has Node, Python, make and a compiler); CMakeLists.txt is the build to develop with.
# Both read their files from scripts/sources.mjs.
{
  "variables": {
    "version": "<!(node -p \"require('./package.json').version\")",
    "test_files": "<!(node scripts/sources.mjs tests | wc -l)",
    "avx2_flags": ["-mavx2", "-mfma", "-mf16c"],
    "avx512_flags": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma"],
    "x64_kernels": ["vlmr1_kernels_avx2", "vlmr1_kernels_avx512", "vlmr1_kernels_avx512_bf16"],
  },
  "target_defaults": {
    "include_dirs": ["native"],
    "defines": ["NDEBUG"],
    # Warnings are for those who develop, with CMake.
    "cflags": ["-w", "-O3", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=off"],
    "cflags!": ["-fno-omit-frame-pointer"],
    "cflags_cc": ["-std=c++20"],
    "cflags_cc!": ["-fno-rtti", "-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "CLANG_CXX_LIBRARY": "libc++",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_ENABLE_CPP_RTTI": "YES",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CPLUSPLUSFLAGS": ["-fno-math-errno", "-ffp-contract=off"],
    },
    "conditions": [["target_arch=='x64'", {"defines": ["VLMR1_X86=1"]}]],
  },
  "targets": [
    {
      "target_name": "vlmr1_core",
      "type": "static_library",
      "sources": ["<!@(node scripts/sources.mjs core)"],
    },
    {
      "target_name": "vlmr1_kernels_baseline",
      "type": "static_library",
      "sources": ["<!@(node scripts/sources.mjs kernels)"],
      "defines": ["VLMR1_ISA=baseline"],
    },
    {
      "target_name": "vlmr1_native",
      "sources": ["<!@(node scripts/sources.mjs binding)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "VLMR1_VERSION=\"<(version)\""],
      "dependencies": ["vlmr1_core", "vlmr1_kernels_baseline"],
      "conditions": [
        ["target_arch=='x64'", {"dependencies": ["<@(x64_kernels)"]}],
        ["OS=='linux'", {"ldflags": ["-static-libstdc++", "-Wl,--exclude-libs,ALL"]}],
      ],
    },
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "vlmr1_kernels_avx2",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs kernels)"],
          "defines": ["VLMR1_ISA=avx2"],
          "cflags": ["<@(avx2_flags)"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(avx2_flags)"]},
        },
        {
          "target_name": "vlmr1_kernels_avx512",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs kernels)"],
          "defines": ["VLMR1_ISA=avx512"],
          "cflags": ["<@(avx512_flags)"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(avx512_flags)"]},
        },
        {
          "target_name": "vlmr1_kernels_avx512_bf16",
          "type": "static_library",
          "sources": ["<!@(node scripts/sources.mjs kernels)"],
          "defines": ["VLMR1_ISA=avx512_bf16"],
          "cflags": ["<@(avx512_flags)", "-mavx512bf16"],
          "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(avx512_flags)", "-mavx512bf16"]},
        },
      ],
    }],
    # An installed package has no native/tests.
    ["test_files > 0", {
      "targets": [
        {
          "target_name": "vlmr1_native_tests",
          "type": "executable",
          "sources": ["<!@(node scripts/sources.mjs tests)"],
          "defines": ["VLMR1_SOURCE_DIR=\"<(module_root_dir)\""],
          "dependencies": ["vlmr1_core", "vlmr1_kernels_baseline"],
          "conditions": [
            ["target_arch=='x64'", {"dependencies": ["<@(x64_kernels)"]}],
          ],
        },
      ],
    }],
  ],
}
