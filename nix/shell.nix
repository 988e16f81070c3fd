# What bin/hive and bin/test need of a NixOS machine, or of any machine with Nix:
#   nix-shell nix/shell.nix --run 'bin/hive up'
#   nix-shell nix/shell.nix --arg withTests true --run bin/test
# Python packages come from the locks as everywhere else; this brings the interpreter, the programs, and the C
# libraries that the wheels among those packages expect to find.
{
  pkgs ? import <nixpkgs> { },
  # A browser and a sandbox, for the tests that need them.
  withTests ? false,
}:

let
  inherit (pkgs) lib;

  # Whatever nixpkgs has as its own: it is there in every release, and ready-made.
  python = pkgs.python3;

  # libgcc_s and libstdc++ for wheels with native code, zlib because every other Linux has it.
  libraries = lib.makeLibraryPath [
    pkgs.stdenv.cc.cc.lib
    pkgs.zlib
  ];
in

assert lib.assertMsg (lib.versionAtLeast python.version "3.11")
  "hive needs Python 3.11 or newer; take nixpkgs 23.11 or later";

pkgs.mkShell {
  packages = [
    python
    pkgs.git
    # For npm, which fetches the browser modules; the one that comes as a wheel does not run on NixOS.
    pkgs.nodejs
    pkgs.uv
  ]
  ++ lib.optionals withTests [
    pkgs.bubblewrap
    pkgs.chromium
  ];

  # uv must take the interpreter above: one it downloads does not run on NixOS.
  UV_PYTHON = python.interpreter;
  UV_PYTHON_DOWNLOADS = "never";

  LD_LIBRARY_PATH = libraries;

  # ruff comes as a program built for other systems; NixOS runs it where programs.nix-ld is enabled.
  NIX_LD = lib.fileContents "${pkgs.stdenv.cc}/nix-support/dynamic-linker";
  NIX_LD_LIBRARY_PATH = libraries;

  # What a Nix build of Python packages wants, and hive does not: hashes that everybody can foresee, the date of
  # 1980 in built packages, and other people's modules.
  shellHook = ''
    unset DETERMINISTIC_BUILD PYTHONHASHSEED PYTHONPATH SOURCE_DATE_EPOCH
  '';
}
