# What bin/hive and bin/test need of a NixOS machine, or of any machine with Nix:
#   nix-shell nix/shell.nix --run 'bin/hive up'
# Python packages come from requirements.lock as everywhere else; this brings the interpreter, the programs, and
# the C libraries that the wheels among those packages expect to find.
{ pkgs ? import <nixpkgs> { } }:

pkgs.mkShell {
  packages = [
    pkgs.python311
    pkgs.uv
    pkgs.git
    pkgs.nodejs_22
    pkgs.chromium
    pkgs.bubblewrap
  ];

  # uv must take the interpreter above: one it downloads does not run on NixOS.
  UV_PYTHON_DOWNLOADS = "never";
  UV_PYTHON_PREFERENCE = "only-system";

  # libgcc_s and libstdc++ for wheels with native code.
  LD_LIBRARY_PATH = pkgs.lib.makeLibraryPath [ pkgs.stdenv.cc.cc.lib ];
}
