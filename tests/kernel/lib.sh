# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A virtual machine with a kernel of its own and this machine's programs. Its
# root is this machine's /, read only, below an overlay in memory: whatever
# happens in there, nothing of it is left. Without KVM the processor is
# emulated, ten to twenty times slower than this one. Needs root, to read all
# of /, and WORK, a directory for the kernel's files.
#
#	vm_possible	fails where it isn't, VM_LACKS then says why
#	vm_emulates	without KVM
#	vm_kernel FILE	unpacks a Debian package of a kernel; sets VM_VERSION
#	vm_end	ends it at once; for the EXIT trap
#	vm_run SECONDS COMMAND...	boots, runs the command as root in the
#		working directory that is this one's, powers off; its status is
#		the command's. Fails with 125 when the machine didn't come
#		that far or took longer. WORK/out is the same directory inside
#		and outside; in there it is $VM_OUT
#
# VM_MEMORY (6G): files in /tmp are in it.

VM_MEMORY=${VM_MEMORY:-6G}
VM_PID=
# To reach the root; what else it needs comes from there.
vm_boot_modules=(virtio_pci 9pnet_virtio 9p overlay virtio_rng)

vm_possible() {
	local command
	VM_LACKS=
	for command in qemu-system-x86_64 busybox modprobe depmod dpkg-deb; do
		command -v "$command" >/dev/null || {
			VM_LACKS="$command is not installed"
			return 1
		}
	done
	if [[ $EUID -ne 0 ]]; then
		VM_LACKS="needs root"
	elif [[ $(uname -m) != x86_64 ]]; then
		VM_LACKS="n/a: for x86_64 only"
	elif ldd "$(type -P busybox)" >/dev/null 2>&1; then
		VM_LACKS="busybox is not linked statically"
	fi
	[[ -z $VM_LACKS ]]
}

# /dev/kvm alone is no promise.
vm_emulates() {
	[[ ! -w /dev/kvm ]] || ! grep -qwE 'vmx|svm' /proc/cpuinfo
}

vm_kernel() {
	local image
	mkdir "$WORK/kernel" "$WORK/out" &&
		dpkg-deb -x "$1" "$WORK/kernel" || return 1
	image=$(echo "$WORK"/kernel/boot/vmlinuz-*)
	[[ -f $image ]] || {
		echo "$1 has no kernel"
		return 1
	}
	VM_VERSION=${image##*/vmlinuz-}
	# Where modprobe looks; since Debian 13 that is where they are.
	[[ -d $WORK/kernel/usr/lib ]] || mkdir -p "$WORK/kernel/usr/lib"
	[[ ! -d $WORK/kernel/lib/modules ]] ||
		mv "$WORK/kernel/lib/modules" "$WORK/kernel/usr/lib/"
	rm -rf "$WORK/kernel/lib"
	ln -s usr/lib "$WORK/kernel/lib"
	depmod -b "$WORK/kernel" "$VM_VERSION" && vm_initramfs
}

# busybox, the modules and the order in which to load them.
vm_initramfs() {
	local root=$WORK/initramfs word file
	mkdir -p "$root"/{bin,modules,proc,sys,dev,lower,upper,root} &&
		cp "$(type -P busybox)" "$root/bin/" &&
		cp "$SRCDIR/tests/kernel/init" "$root/init" || return 1
	for file in "${vm_boot_modules[@]}"; do
		modprobe -d "$WORK/kernel" -S "$VM_VERSION" --show-depends \
			"$file" || return 1
	done | while read -r word file _; do
		[[ $word == insmod ]] && echo "$file"
	done | awk '!seen[$0]++' >"$WORK/order"
	while read -r file; do
		cp "$file" "$root/modules/"
		echo "${file##*/}"
	done <"$WORK/order" >"$root/modules/order"
	(cd "$root" && find . | busybox cpio -o -H newc) 2>/dev/null |
		gzip -1 >"$WORK/initramfs.gz"
}

vm_end() {
	[[ -z $VM_PID ]] || kill "$VM_PID" 2>/dev/null
	VM_PID=
}

vm_run() {
	local limit=$1 status
	local fs=local,security_model=none,multidevs=remap
	local accel=kvm
	local -a line=(console=ttyS0 quiet panic=-1 "vm_src=$PWD"
		"vm_work=$WORK")
	shift
	if vm_emulates; then
		accel=tcg,thread=multi
		# What costs an emulated processor most, of what it has no use
		# for; its other clocks are devices, slow to look at.
		line+=(mitigations=off tsc=reliable)
	fi
	rm -f "$WORK/out/status"
	printf '%q ' "$@" >"$WORK/out/command"
	# In the background, so that a trap needn't wait for its end. However
	# this shell ends, the machine ends with it.
	setpriv --pdeathsig KILL timeout --foreground -k 5 "$limit" \
		setpriv --pdeathsig KILL qemu-system-x86_64 -accel "$accel" \
		-cpu max,la57=off -smp 2 -m "$VM_MEMORY" \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial stdio -device virtio-rng-pci \
		-kernel "$WORK/kernel/boot/vmlinuz-$VM_VERSION" \
		-initrd "$WORK/initramfs.gz" -append "${line[*]}" \
		-virtfs "$fs,path=/,mount_tag=root,readonly=on" \
		-virtfs "$fs,path=$WORK/out,mount_tag=out" \
		</dev/null 2>"$WORK/qemu.err" > >(tr -d '\r') &
	VM_PID=$!
	wait "$VM_PID"
	VM_PID=
	if [[ ! -s $WORK/out/status ]]; then
		cat "$WORK/qemu.err"
		echo "the machine ended before the command did"
		return 125
	fi
	status=$(<"$WORK/out/status")
	return "$status"
}
