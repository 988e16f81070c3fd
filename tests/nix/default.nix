# Stands in for nixpkgs, which comes from elsewhere: its words, for the programs of the machine a test runs on.
# Nothing is built, and nothing is fetched.
{ folder }:

let
  usr = {
    outPath = "/usr";
  };
in
{
  python3 = usr // {
    version = "3.11.0";
    interpreter = "/usr/bin/python3";
  };
  git = usr;
  nodejs = usr;
  uv = usr;
  bubblewrap = usr;
  chromium = {
    outPath = "/the/browser";
  };
  zlib = usr;
  stdenv.cc = {
    outPath = folder;
    cc.lib = usr;
  };
  lib = {
    makeLibraryPath = packages: builtins.concatStringsSep ":" (map (one: "${one}/lib") packages);
    versionAtLeast = one: other: builtins.compareVersions one other >= 0;
    assertMsg = holds: message: if holds then true else throw message;
    optionals = wanted: list: if wanted then list else [ ];
    fileContents = builtins.readFile;
  };
  mkShell =
    given:
    derivation (
      removeAttrs given [ "packages" ]
      // {
        name = "shell";
        system = builtins.currentSystem;
        builder = "/bin/sh";
        # What nix-shell sources before it runs anything.
        stdenv = folder;
        PACKAGES = map toString given.packages;
      }
    );
}
