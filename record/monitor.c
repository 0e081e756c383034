// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtual machine monitor for one small guest: 32 MiB of memory, one vCPU without interrupt controller, no device but
 * two ports. Its markers in the kernel's trace say where the guest's phases begin.
 *
 *   monitor run IMAGE PHASES MARKER MEMORY   runs the guest; 0: it halted, 1: it did not get that far
 *   monitor cpuid                            what KVM can offer to a guest: function index eax ebx ecx edx, hexadecimal
 *   monitor send                             copies standard input to QEMU's debug console
 *
 * IMAGE is loaded at address 0 and entered at 0:0x8000 in real mode. PHASES has one name a line. Markers go to the file
 * MARKER (trace_marker of a tracefs instance). MEMORY receives the guest's first 512 KiB as they are at the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define RAM_BYTES (32u << 20)
#define DATA_START 0x400000u
#define SAVED_BYTES 0x80000u
/* Words of the guest's memory that are agreed upon, see docs/ops.md. */
#define FAULT_COUNT 0x800u
#define FEATURES 0x830u
#define ENTRY 0x8000u
#define STACK 0x6000u
#define PORT_PHASE 0x510
#define PORT_SMI 0x511
#define PORT_CONSOLE 0x4f0
/* Pages of KVM's own on Intel, out of the way of the guest's memory. */
#define IDENTITY_MAP 0xfffbc000ull
#define TSS_PAGES 0xfffbd000ul
/* Memory slots of system management mode are those of address space 1. */
#define SMM_SPACE (1u << 16)
#define MAX_PHASES 256
#define MAX_CPUID 256

#ifndef KVM_SMI
#define KVM_SMI _IO(KVMIO, 0xb7)
#endif

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[MAX_CPUID];
};

static int marker = -1;
static char phases[MAX_PHASES][64];

static void die(const char *what)
{
	fprintf(stderr, "monitor: %s: %s\n", what, strerror(errno));
	exit(1);
}

__attribute__((format(printf, 1, 2))) static void mark(const char *format, ...)
{
	char line[256];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (write(marker, line, length) < 0)
		die("trace_marker");
}

static uint32_t *word(uint8_t *memory, uint32_t address)
{
	return (uint32_t *)(memory + address);
}

static void read_phases(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	for (int i = 1; i < MAX_PHASES && fscanf(file, "%63s", phases[i]) == 1; i++)
		;
	fclose(file);
}

/* The guest's memory: the image, and data pages that begin with a jump to where (R)BP points. All of it is touched here, so
   that no fault of the host falls into the run, and none of it is a huge page. */
static uint8_t *make_memory(const char *image)
{
	uint8_t *memory = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("memory of the guest");
	madvise(memory, RAM_BYTES, MADV_NOHUGEPAGE);
	memset(memory, 0, RAM_BYTES);
	for (uint32_t page = DATA_START; page < RAM_BYTES; page += PAGE) {
		memory[page] = 0xff;
		memory[page + 1] = 0xe5;
	}
	FILE *file = fopen(image, "rb");
	if (!file || fread(memory, 1, DATA_START, file) == 0)
		die(image);
	fclose(file);
	return memory;
}

static void read_cpuid(int kvm, struct cpuid *cpuid)
{
	memset(cpuid, 0, sizeof *cpuid);
	cpuid->head.nent = MAX_CPUID;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid->head) < 0)
		die("KVM_GET_SUPPORTED_CPUID");
}

/* The word that `if` of the workload language tests. */
static uint32_t features_of(const struct cpuid *cpuid)
{
	uint32_t features = 0;

	for (uint32_t i = 0; i < cpuid->head.nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 1)
			features |= (entry->ecx >> 17 & 1) << 0; /* PCID */
		if (entry->function == 7 && entry->index == 0)
			features |= (entry->ecx >> 3 & 1) << 1	   /* PKU */
				  | (entry->ecx >> 16 & 1) << 2	   /* LA57 */
				  | (entry->ebx >> 7 & 1) << 3	   /* SMEP */
				  | (entry->ebx >> 20 & 1) << 4	   /* SMAP */
				  | (entry->ebx >> 10 & 1) << 5;   /* INVPCID */
	}
	return features;
}

static void add_memory(int kvm, int vm, uint8_t *memory)
{
	struct kvm_userspace_memory_region region = { .memory_size = RAM_BYTES, .userspace_addr = (uintptr_t)memory };

	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_SET_USER_MEMORY_REGION");
	region.slot = SMM_SPACE;
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM) > 0 && ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		die("KVM_SET_USER_MEMORY_REGION of system management mode");
}

static int make_vcpu(int vm, struct cpuid *cpuid)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rip = ENTRY, .rflags = 2, .rsp = STACK };
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	if (vcpu < 0)
		die("KVM_CREATE_VCPU");
	if (ioctl(vcpu, KVM_SET_CPUID2, &cpuid->head))
		die("KVM_SET_CPUID2");
	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		die("KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		die("registers of the vCPU");
	return vcpu;
}

static void mark_phase(int vcpu, uint32_t number, uint32_t faults)
{
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	mark("guest phase %u %s cr0=%llx cr3=%llx cr4=%llx efer=%llx guest_faults=%u", number, phases[number % MAX_PHASES],
	     s.cr0, s.cr3, s.cr4, s.efer, faults);
}

/* Runs the guest to its HLT; anything that is no port of ours ends it early. */
static int run_guest(int vcpu, struct kvm_run *run, uint8_t *memory)
{
	unsigned int smis = 0;

	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0) {
			if (errno == EINTR)
				continue;
			mark("guest error KVM_RUN errno=%d", errno);
			fprintf(stderr, "monitor: KVM_RUN: %s\n", strerror(errno));
			return 1;
		}
		if (run->exit_reason == KVM_EXIT_HLT) {
			mark("guest halt");
			return 0;
		}
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_PHASE) {
			uint32_t number;

			memcpy(&number, (uint8_t *)run + run->io.data_offset, sizeof number);
			mark_phase(vcpu, number, *word(memory, FAULT_COUNT));
		} else if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_SMI) {
			mark("guest smi %u", ++smis);
			if (ioctl(vcpu, KVM_SMI, 0))
				mark("guest error KVM_SMI errno=%d", errno);
		} else {
			struct kvm_regs regs;

			if (ioctl(vcpu, KVM_GET_REGS, &regs))
				die("KVM_GET_REGS");
			mark("guest error exit_reason=%u rip=%llx", run->exit_reason, regs.rip);
			fprintf(stderr, "monitor: exit %u at rip %llx, suberror %u\n", run->exit_reason, regs.rip,
				run->internal.suberror);
			return 1;
		}
	}
}

static int run(const char *image, const char *phase_file, const char *marker_file, const char *saved)
{
	static struct cpuid cpuid;
	uint64_t identity_map = IDENTITY_MAP;
	cpu_set_t first;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		die("/dev/kvm");
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof first, &first))
		die("CPU 0");
	read_cpuid(kvm, &cpuid);
	read_phases(phase_file);
	marker = open(marker_file, O_WRONLY);
	if (marker < 0)
		die(marker_file);

	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		die("KVM_CREATE_VM");
	ioctl(vm, KVM_SET_TSS_ADDR, TSS_PAGES);
	ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	uint8_t *memory = make_memory(image);
	*word(memory, FEATURES) = features_of(&cpuid);
	add_memory(kvm, vm, memory);
	int vcpu = make_vcpu(vm, &cpuid);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (shared == MAP_FAILED)
		die("kvm_run");

	mark("guest start features=%x", *word(memory, FEATURES));
	int failed = run_guest(vcpu, shared, memory);

	FILE *file = fopen(saved, "wb");
	if (!file || fwrite(memory, 1, SAVED_BYTES, file) != SAVED_BYTES || fclose(file))
		die(saved);
	return failed;
}

static int print_cpuid(void)
{
	static struct cpuid cpuid;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		die("/dev/kvm");
	read_cpuid(kvm, &cpuid);
	for (uint32_t i = 0; i < cpuid.head.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid.entries[i];

		printf("%x %x %x %x %x %x\n", e->function, e->index, e->eax, e->ebx, e->ecx, e->edx);
	}
	return 0;
}

static int send(void)
{
	static uint8_t buffer[1 << 16];
	ssize_t length;

	if (ioperm(PORT_CONSOLE, 1, 1))
		die("port of the debug console");
	while ((length = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
		outsb(PORT_CONSOLE, buffer, length);
	return length < 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "run"))
		return run(argv[2], argv[3], argv[4], argv[5]);
	if (argc == 2 && !strcmp(argv[1], "cpuid"))
		return print_cpuid();
	if (argc == 2 && !strcmp(argv[1], "send"))
		return send();
	fprintf(stderr, "usage: monitor run IMAGE PHASES MARKER MEMORY | cpuid | send\n");
	return 2;
}
