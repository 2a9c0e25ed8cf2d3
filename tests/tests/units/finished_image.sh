#!/bin/bash
# Sourced where the image's tools are: makes an image in all that os-image/lint/image looks at, small enough for a test. A test changes a variable
# or replaces a function before `make`, or what `made` has made after it, and then says `lint`. $1 is the checkout, $2 a directory with the owner's keys in keys/.
set -euo pipefail
shopt -s inherit_errexit
source=$1
keys=$2/keys
work=$2/work
image=$2/out/holdfast_9
kept=$2/kept
rm -rf "$work" "$2/out"
mkdir -p "$work" "$2/out"
release=6.1.0
loader=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
root=$(printf %064d 7)
words=$(sed -n '/^KernelCommandLine=/,/^[A-Z]/p' "$source/os-image/mkosi.conf" | sed '1d; $d; s/#.*//' | xargs)
command_line="roothash=$root $words"
ukify=$source/os-image/ukify
banks=sha256
options=()

# What is in the initrd: the tree of os-image, accounts, and modules, one of which is built in.
initrd_tree() {
  local tree=$work/initrd modules=$work/initrd/usr/lib/modules/$release module
  mkdir -p "$modules/kernel" "$tree/etc"
  cp -a "$source/os-image/mkosi.images/initrd/mkosi.extra/." "$tree"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
  echo 'root:*:1::::::' >"$tree/etc/shadow"
  echo kernel/fs/autofs/autofs4.ko >"$modules/modules.builtin"
  for module in dm-crypt dm-mod dm-verity efivarfs erofs ext4 jbd2 nvme overlay tpm_crb tpm_tis vfat virtio_blk virtio_pci x_tables; do
    echo content >"$modules/kernel/$module.ko.xz"
    echo "kernel/$module.ko.xz:$([[ $module != ext4 ]] || echo ' kernel/jbd2.ko.xz')"
  done >"$modules/modules.dep"
}
# Two archives, as mkosi makes them: one of the modules, one of the rest.
initrd_file() {
  (cd "$work/initrd" && find . -path './usr/lib/modules*' | cpio -o -H newc --quiet | zstd -q >"$work/modules.zst")
  (cd "$work/initrd" && find . ! -path './usr/lib/modules*' | cpio -o -H newc --quiet | zstd -q >"$work/rest.zst")
  { cat "$work/rest.zst"; head -c $((4 - $(stat -c %s "$work/rest.zst") % 4)) /dev/zero; cat "$work/modules.zst"; } >"$work/initrd.file"
}

# The kernel image, signed as mkosi signs it.
kernel_image() {
  mkdir -p "$work/bin"
  cp "$keys"/{vault.key,state.pub,vault.pub} "$work/bin/"
  install -m 0755 "$ukify" "$work/bin/ukify"
  "$work/bin/ukify" build --linux "$loader" --initrd "$work/initrd.file" --uname "$release" --os-release "ID=debian" \
    --cmdline "$command_line" --stub /usr/lib/systemd/boot/efi/linuxx64.efi.stub --pcr-banks "$banks" --pcr-private-key "$keys/state.key" \
    --secureboot-private-key "$keys/secure-boot.key" --secureboot-certificate "$keys/secure-boot.crt" --output "$image.efi" "${options[@]}" >/dev/null
}

signed_again() { sbsign --key "$keys/secure-boot.key" --cert "$keys/secure-boot.crt" --output "$2" "$1" 2>/dev/null; }
# Bytes of the kernel image are changed, each staying in its place, and it is signed again: what somebody does who has that key only.
edited() {
  sbattach --remove "$image.efi"
  LC_ALL=C sed -i "$1" "$image.efi"
  signed_again "$image.efi" "$image.efi"
  esp "$image.efi" ::/EFI/Linux/holdfast_9+3.efi
}

esp() { mcopy -o -Q -i "$image.raw@@1048576" "$@"; }
disk() {
  truncate -s 64M "$image.raw"
  sfdisk --quiet "$image.raw" <<END
label: gpt
start=1MiB, size=40MiB, type=uefi
size=1MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=$(uuid "${root:0:32}")
size=1MiB, type=2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5, uuid=$(uuid "${root:32}")
END
  mformat -i "$image.raw@@1048576" -T 81920 -h 16 -s 63
  mmd -i "$image.raw@@1048576" ::/EFI ::/EFI/BOOT ::/EFI/Linux ::/EFI/systemd ::/loader ::/loader/keys ::/loader/keys/auto
  signed_again "$loader" "$work/loader.efi"
  esp "$work/loader.efi" ::/EFI/BOOT/BOOTX64.EFI
  esp "$work/loader.efi" ::/EFI/systemd/systemd-bootx64.efi
  esp "$image.efi" ::/EFI/Linux/holdfast_9+3.efi
  enrolled "$keys/secure-boot"
}
uuid() { sed -E 's/^(.{8})(.{4})(.{4})(.{4})/\1-\2-\3-\4-/' <<<"$1"; }
enrolled() {
  cert-to-efi-sig-list "$1.crt" "$work/db.list" >/dev/null
  sign-efi-sig-list -k "$keys/secure-boot.key" -c "$keys/secure-boot.crt" db "$work/db.list" "$work/db.auth" >/dev/null
  esp "$work/db.auth" ::/loader/keys/auto/db.auth
}

# installed FILE LIST…: the manifest of what these lists name.
installed() {
  local file=$1
  shift
  sed 's/#.*//; s/VERSION/6.1.0+deb13/' "$@" | tr -s ' ' '\n' | sed '/^$/d' |
    jq -R '{name: .}' | jq -s '{config: {distribution: "debian"}, packages: .}' >"$file"
}
packages() {
  installed "$image.manifest" "$source/os-image/packages/debian.list"
  installed "${image%/*}/initrd.manifest" "$source/os-image/packages/debian-initrd.list"
}

finish() { initrd_file && kernel_image && disk && packages; }
make() { initrd_tree && finish; }
# The same for those who change nothing before: made once.
made() {
  if [[ ! -e $kept ]]; then
    make
    mkdir "$kept"
    cp -a --sparse=always "$work" "${image%/*}" "$kept/"
  else
    cp -a --sparse=always "$kept/." "${work%/*}/"
  fi
}
# On its output what is refused. That it fails whenever it refuses is part of what it must do.
lint() {
  local status=0 wanted=0
  "$source/os-image/lint/image" "$image" "$keys" "$@" >"$work/lint" 2>&1 || status=$?
  grep '^image lint: ' "$work/lint" && wanted=1
  ((status == wanted)) || echo "image lint: status $status"
}
