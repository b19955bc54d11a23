#!/usr/bin/env bash
# Makes the virtual environment and installs all that the demo and the tests need: setup.sh PYTHON VENV
set -euo pipefail
python=$1
venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mtiac needs Python 3.11 or newer" >&2; exit 2; }
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# The CPU build of torch first: with it in place no later requirement pulls the CUDA packages.
"$venv/bin/pip" install --quiet --disable-pip-version-check 'torch==2.13.0'
"$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[dev]'

# Debian packages that some tests use as oracles; where they cannot be installed those tests are skipped by name.
packages=(qemu-user llvm-22 clang-22 gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf
  libxxhash-dev uthash-dev libstb-dev libcglm-dev libsimde-dev)
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  missing=()
  for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
      echo "note: could not install ${missing[*]}; the tests that need them will be skipped by name" >&2
  fi
fi

# Source packages (of each the folder named) whose programs the tests compile; without them, too, tests are skipped
# by name.
sources=$(realpath -m "$venv")/share/mtiac/sources
get_source() {
  local files=$sources/.files
  mkdir -p "$files/lists/partial" "$sources/$1"
  # The sources of what apt already installs from.
  apt-get indextargets --format 'deb-src $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u >"$files/sources.list"
  local apt=(apt-get -qq -o Dir::Etc::SourceList="$files/sources.list" -o Dir::Etc::SourceParts=-
    -o Dir::State::Lists="$files/lists" -o APT::Sandbox::User=)
  (cd "$files" && { [ -s .updated ] || { "${apt[@]}" update && echo yes >.updated; }; } &&
    "${apt[@]}" source --download-only "$1" >/dev/null &&
    tar xf "$1"_*.orig.tar.* -C "$sources/$1" --strip-components=1 --wildcards "*/$2") ||
    { rm -rf "${sources:?}/$1"; echo "note: no source package $1; the tests that need it will be skipped by name" >&2; }
}
if command -v apt-get >/dev/null; then
  [ -d "$sources/lz4" ] || get_source lz4 lib
  [ -d "$sources/kissfft" ] || get_source kissfft '*.[ch]'
  [ -d "$sources/gsl" ] || get_source gsl cblas
  rm -rf "$sources/.files"
fi
