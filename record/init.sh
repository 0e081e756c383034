#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# The first and only process of the machine in QEMU: loads KVM, does what /input/task says (`survey` or `trace SECONDS`), sends
# /output out as a compressed cpio archive through the debug console, and switches the machine off.
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /output
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t tmpfs -o size=90% output /output

while read -r module parameters; do
	insmod "/modules/$module" $parameters 2>> /output/errors
done < /modules/order

uname -r > /output/release
cat /proc/version > /output/version
read -r task seconds < /input/task
case $task in
survey)
	mkdir /output/btf
	cp /sys/kernel/btf/vmlinux /output/btf
	[ -e /sys/kernel/btf/kvm ] && cp /sys/kernel/btf/kvm /output/btf # from v5.11 on, when kvm is a module
	grep -F -w -f /input/symbols /proc/kallsyms > /output/kallsyms
	;;
trace)
	for module in kvm kvm_amd kvm_intel; do
		for each in /sys/module/$module/parameters/*; do
			[ -r "$each" ] && echo "$module.${each##*/}=$(cat "$each")"
		done
	done > /output/parameters
	/input/monitor cpuid > /output/cpuid 2>> /output/errors
	sh /input/trace-guests.sh /input /output "$seconds"
	;;
esac
cd /output && find . -type f | cpio -o -H newc | gzip -1 | /input/monitor send
poweroff -f
