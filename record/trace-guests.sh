#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs guests one after the other and traces KVM while each runs.
#   trace-guests.sh INPUT OUTPUT SECONDS
# INPUT:  monitor, probes (kprobe definitions), eprobe, events (SYSTEM/NAME a line), <workload>.img, <workload>.phases
# OUTPUT: <workload>.trace, .hist, .memory, .log, .status of the monitor; refused (probe definitions the kernel did not take)
# A tracefs instance of its own keeps what is traced elsewhere out of it; nothing of it is left at the end.
input=$1 output=$2 seconds=$3
tracing=/sys/kernel/tracing
[ -e $tracing/instances ] || tracing=/sys/kernel/debug/tracing
trace=$tracing/instances/mmu-eras
pages=$trace/events/kvmmmu/kvm_mmu_get_page
histogram='hist:keys=role.hex,created'

# $1: definition, $2: the file that takes it
define() {
	echo "$1" >> "$tracing/$2" 2> /dev/null || echo "$1" >> "$output/refused"
}

leave() {
	[ -d $trace ] || return
	echo 0 > $trace/events/enable
	[ -e $pages/trigger ] && echo "!$histogram" > $pages/trigger 2> /dev/null
	rmdir $trace
	while read -r probe; do
		name=${probe#*:} # mmu_eras/NAME ARGUMENTS
		echo "-:${name%% *}" >> $tracing/kprobe_events 2> /dev/null
	done < "$input/probes"
	echo '-:mmu_eras/get_page_raw' >> $tracing/dynamic_events 2> /dev/null
}

: > "$output/refused"
mkdir $trace || exit 1
trap leave EXIT
trap 'exit 1' INT TERM
while read -r probe; do define "$probe" kprobe_events; done < "$input/probes"
while read -r probe; do define "$probe" dynamic_events; done < "$input/eprobe"
echo 0 > $trace/tracing_on
echo 4096 > $trace/buffer_size_kb
echo 100000 > $trace/per_cpu/cpu0/buffer_size_kb # the monitor runs on CPU 0
echo 0 > $trace/options/overwrite
while read -r event; do
	[ -e "$trace/events/$event/enable" ] && echo 1 > "$trace/events/$event/enable"
done < "$input/events"

for image in "$input"/*.img; do
	workload=$(basename "$image" .img)
	echo > $trace/trace
	echo "$histogram" > $pages/trigger 2> /dev/null
	echo 1 > $trace/tracing_on
	timeout "$seconds" "$input/monitor" run "$image" "$input/$workload.phases" $trace/trace_marker "$output/$workload.memory" \
		> "$output/$workload.log" 2>&1
	echo $? > "$output/$workload.status"
	echo 0 > $trace/tracing_on
	cat $pages/hist > "$output/$workload.hist" 2> /dev/null
	echo "!$histogram" > $pages/trigger 2> /dev/null
	cat $trace/trace > "$output/$workload.trace"
done
